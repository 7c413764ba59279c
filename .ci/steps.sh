# Shared by `run` and `release`, which source it at the root of the repository.

# A run from a clean checkout uses neither incremental builds nor a debugger.
export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0

step() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }

# Installs a version of a cargo subcommand, unless that version is there. To optimize it would take
# longer than it runs.
tool() {
    local crate=$1 version=$2
    if [[ $(cargo "${crate#cargo-}" --version 2>/dev/null) != *" $version" ]]; then
        step "install $crate $version"
        cargo install "$crate" --version "$version" --locked --quiet --debug
    fi
}

# The checks start Python some thousand times. A shim, such as that of pyenv, takes longer to start than
# the interpreter itself.
python=$(python3 -c 'import sys; print(sys.executable)')
[[ $(command -v python3) == "$python" ]] || export PATH=${python%/*}:$PATH
