//! The attributes of `ostler-time-limit`.

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

/// Replaces `#[test]` and `#[tokio::test]`: an `async` function is a test of tokio.
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, function: TokenStream) -> TokenStream {
    let mut tokens = function.clone().into_iter();
    let test = match tokens.any(|token| is_word(&token, "async")) {
        true => format!("#[::ostler_time_limit::tokio::test({arguments})]"),
        false => "#[::core::prelude::v1::test]".to_owned(),
    };
    // After the attribute that makes the function a test, so that it sees what becomes of it: a
    // function that is not `async`.
    let mut test = source(&format!("{test} #[::ostler_time_limit::limited]"));
    test.extend(function);
    test
}

/// Runs the body of a test within the time limit, unless the test is ignored.
#[proc_macro_attribute]
pub fn limited(_: TokenStream, function: TokenStream) -> TokenStream {
    let mut tokens: Vec<TokenTree> = function.into_iter().collect();
    if tokens.iter().any(is_ignore) {
        return tokens.into_iter().collect();
    }
    let keyword = tokens.iter().position(|token| is_word(token, "fn"));
    let name = &tokens[keyword.expect("a test is a function") + 1];
    let path = format!("::core::concat!(::core::module_path!(), \"::{name}\")");
    let body = tokens.pop().expect("a function has a body");
    let mut arguments = source(&format!("{path}, || "));
    arguments.extend([body]);
    let mut call = source("::ostler_time_limit::run");
    call.extend([group(Delimiter::Parenthesis, arguments)]);
    tokens.push(group(Delimiter::Brace, call));
    tokens.into_iter().collect()
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident.to_string() == word)
}

/// Whether these are the brackets of `#[ignore]` or `#[ignore = "reason"]`.
fn is_ignore(token: &TokenTree) -> bool {
    let TokenTree::Group(group) = token else {
        return false;
    };
    let first = group.stream().into_iter().next();
    group.delimiter() == Delimiter::Bracket && first.is_some_and(|word| is_word(&word, "ignore"))
}

fn group(delimiter: Delimiter, tokens: TokenStream) -> TokenTree {
    Group::new(delimiter, tokens).into()
}

fn source(text: &str) -> TokenStream {
    text.parse().expect("this is Rust")
}
