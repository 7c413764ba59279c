//! Do the links between the pages of the repository lead somewhere?

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The pages of the repository, without their code blocks.
fn pages() -> BTreeMap<PathBuf, String> {
    let mut pages = BTreeMap::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize();
    let mut folders = vec![root.unwrap()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let (path, kind) = entry
                .map(|it| (it.path(), it.file_type().unwrap()))
                .unwrap();
            let name = path.file_name().unwrap().to_str().unwrap_or_default();
            if kind.is_dir()
                && !name.starts_with('.')
                && !["target", "node_modules"].contains(&name)
            {
                folders.push(path);
            } else if kind.is_file() && name.ends_with(".md") {
                let text = fs::read_to_string(&path).unwrap();
                let outside = text.split("\n```").step_by(2).collect();
                pages.insert(path, outside);
            }
        }
    }
    pages
}

/// What a link to a heading says, as GitHub makes it of the heading.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = |char: &char| char.is_alphanumeric() || "-_ ".contains(*char);
    heading
        .chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-")
}

fn links(page: &str) -> impl Iterator<Item = &str> {
    let ends = page.split("](").skip(1);
    let links = ends.filter_map(|rest| rest.split([')', ' ']).next());
    links.filter(|link| !link.starts_with("http"))
}

/// Each link between pages leads to a file that exists, and to a heading that is there.
#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    assert!(pages.len() > 20, "only {} pages", pages.len());
    let anchors: BTreeMap<&PathBuf, BTreeSet<String>> = (pages.iter())
        .map(|(path, text)| {
            let headings = text.lines().filter(|line| line.starts_with('#'));
            (path, headings.map(anchor).collect())
        })
        .collect();
    let mut dead = Vec::new();
    for (path, text) in &pages {
        for link in links(text) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => Ok(path.clone()),
                file => path.parent().unwrap().join(file).canonicalize(),
            };
            let is_dead = target.map_or(true, |target| {
                let known = anchors.get(&target);
                known.is_some_and(|known| !heading.is_empty() && !known.contains(heading))
            });
            if is_dead {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert_eq!(dead, [""; 0]);
}
