//! Pages of the documentation whose listings are tried.

/// The fenced blocks after a paragraph that ends in "`FOLDER/NAME`:", as name and text.
#[must_use]
pub fn files<'a>(page: &'a str, folder: &str) -> Vec<(&'a str, &'a str)> {
    let start = format!("`{folder}/");
    let mut found = Vec::new();
    for part in page.split(&start).skip(1) {
        let Some((name, rest)) = part.split_once("`:\n\n```") else {
            continue;
        };
        let block = rest
            .split_once('\n')
            .and_then(|(_, text)| text.split_once("```\n"));
        if let Some((text, _)) = block {
            found.push((name, text));
        }
    }
    found
}

/// The script of the line `$ sudo ig run GADGET -- sh -c 'SCRIPT'` and the lines shown below it.
///
/// # Panics
/// When the page has no such line.
#[must_use]
pub fn shown<'a>(page: &'a str, gadget: &str) -> (&'a str, Vec<&'a str>) {
    let (script, rest) = page
        .split_once(&format!("$ sudo ig run {gadget} -- sh -c '"))
        .and_then(|(_, rest)| rest.split_once("'\n"))
        .expect("the command that runs it");
    let lines = rest
        .lines()
        .take_while(|line| !line.starts_with(['$', '`']))
        .collect();
    (script, lines)
}
