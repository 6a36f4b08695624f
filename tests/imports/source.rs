//! A crate's files as modules: what each declares, imports and names, without what is compiled for tests alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::tokens::{Token, tokens};

/// Names from the crate's root to a module or an item.
pub type Names = Vec<String>;

/// What a module says. A module written inside another's file has its own, with that file.
#[derive(Debug, Default)]
pub struct Module {
    pub file: PathBuf,
    pub children: BTreeSet<String>,
    /// Names of items that stand here.
    pub items: BTreeSet<String>,
    /// Imports by the name that they have here.
    pub imports: BTreeMap<String, Names>,
    pub globs: Vec<Names>,
    /// Each path that is written here, with its line.
    pub paths: Vec<(Names, usize)>,
    /// What is given on by `pub use`: an import of this module only where its own code uses the name.
    pub given: Vec<(String, Names, usize)>,
    /// Names that the code uses without a path.
    pub words: BTreeSet<String>,
}

/// A function and its length in lines.
#[derive(Debug)]
pub struct Function {
    pub name: String,
    pub line: usize,
    pub lines: usize,
    /// A comment above it says why it is long.
    pub explained: bool,
}

#[derive(Debug)]
pub struct File {
    pub lines: usize,
    pub explained: bool,
    pub functions: Vec<Function>,
}

/// A crate's modules by their names from its root, and its files.
#[derive(Debug)]
pub struct Source {
    pub name: String,
    pub modules: BTreeMap<Names, Module>,
    pub files: BTreeMap<PathBuf, File>,
}

impl Source {
    /// Reads `lib.rs` under `root`, and all that it declares.
    pub fn read(name: &str, root: &Path) -> Self {
        let mut source = Self { name: name.into(), modules: BTreeMap::new(), files: BTreeMap::new() };
        source.read_file(&root.join("lib.rs"), root, &Vec::new());
        source
    }

    fn read_file(&mut self, file: &Path, folder: &Path, at: &Names) {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let declared = self.scan(&text, file, at.clone());
        for child in declared {
            let beside = folder.join(format!("{child}.rs"));
            assert!(beside.exists(), "module {child} of {}: {} is missing", file.display(), beside.display());
            let mut names = at.clone();
            names.push(child.clone());
            self.read_file(&beside, &folder.join(&child), &names);
        }
    }

    /// Reads a file's text into its modules; gives the modules that it declares in files of their own.
    pub fn scan(&mut self, text: &str, file: &Path, at: Names) -> Vec<String> {
        let lines: Vec<&str> = text.lines().collect();
        let read = tokens(text);
        let tokens = without_tests(&read);
        let explained = lines.iter().take_while(|line| line.starts_with("//")).any(|line| says_why(line));
        let functions = functions(&tokens, &lines);
        self.files.insert(file.to_path_buf(), File { lines: lines.len(), explained, functions });
        let mut scan = Scan { source: self, file, open: vec![(at, 0)], depth: 0, declared: Vec::new(), public: false };
        scan.run(&tokens);
        scan.declared
    }
}

fn says_why(line: &str) -> bool {
    let line = line.trim_start();
    (line.starts_with("//") && line.contains("Long: ")) || line.contains("too_many_lines")
}

/// The macros that a file's code calls, with their lines; a macro's path is left out.
pub fn macros(text: &str) -> Vec<(String, usize)> {
    let tokens = without_tests(&tokens(text));
    let calls = tokens.windows(3).filter(|call| call[1].text == "!" && "([{".contains(call[2].text.as_str()));
    calls.map(|call| (call[0].text.clone(), call[0].line)).collect()
}

/// The tokens without items under `#[cfg(test)]`.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let attribute: Vec<&str> = tokens[at..].iter().take(7).map(|token| token.text.as_str()).collect();
        if attribute == ["#", "[", "cfg", "(", "test", ")", "]"] {
            at = end_of_item(tokens, at);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// Where the item ends whose first attribute is at `at`.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    while tokens.get(at).is_some_and(|token| token.text == "#") {
        at = matching(tokens, at + 1) + 1;
    }
    let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let is_use = word(at) == "use" || (word(at) == "pub" && (word(at + 1) == "use" || word(at + 4) == "use"));
    while at < tokens.len() {
        match word(at) {
            ";" => return at + 1,
            "{" if !is_use => return matching(tokens, at) + 1,
            "(" | "[" | "{" => at = matching(tokens, at) + 1,
            _ => at += 1,
        }
    }
    at
}

/// The bracket that closes the one at `at`.
fn matching(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0;
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
        at += 1;
    }
    at.saturating_sub(1)
}

fn functions(tokens: &[Token], lines: &[&str]) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        if pair[0].text != "fn" || !pair[1].text.starts_with(|c: char| c == '_' || c.is_alphabetic()) {
            continue;
        }
        let mut body = at;
        while body < tokens.len() && tokens[body].text != "{" && tokens[body].text != ";" {
            body = if matches!(tokens[body].text.as_str(), "(" | "[") { matching(tokens, body) + 1 } else { body + 1 };
        }
        if tokens.get(body).is_none_or(|token| token.text == ";") {
            continue;
        }
        let (line, end) = (pair[0].line, tokens[matching(tokens, body)].line);
        let above = lines[..line - 1].iter().rev().take_while(|line| line.trim_start().starts_with(['/', '#']));
        let explained = above.into_iter().any(|line| says_why(line));
        found.push(Function { name: pair[1].text.clone(), line, lines: end + 1 - line, explained });
    }
    found
}

/// Walks one file's tokens; `open` has the modules that are open, with the depth of brackets they began at.
struct Scan<'a> {
    source: &'a mut Source,
    file: &'a Path,
    open: Vec<(Names, usize)>,
    depth: usize,
    declared: Vec<String>,
    /// The import being read is public.
    public: bool,
}

impl Scan<'_> {
    fn module(&mut self) -> &mut Module {
        let (names, _) = self.open.last().expect("the file's own module is always open");
        let module = self.source.modules.entry(names.clone()).or_default();
        module.file = self.file.to_path_buf();
        module
    }

    fn run(&mut self, tokens: &[Token]) {
        self.module();
        let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
        let is_name = |at: usize| word(at).starts_with(|c: char| c == '_' || c.is_alphabetic());
        let mut at = 0;
        while at < tokens.len() {
            if is_name(at) && (at == 0 || !matches!(word(at - 1), "::" | "." | "fn" | "struct" | "enum" | "mod")) {
                self.module().words.insert(word(at).into());
            }
            match word(at) {
                "use" if is_name(at + 1) || word(at + 1) == "{" => {
                    self.public = at > 0 && matches!(word(at - 1), "pub" | ")");
                    at = self.use_tree(tokens, at + 1, &Vec::new());
                    continue;
                }
                "mod" if is_name(at + 1) && word(at + 2) == ";" => {
                    self.module().children.insert(word(at + 1).into());
                    self.declared.push(word(at + 1).into());
                    at += 2;
                }
                "mod" if is_name(at + 1) && word(at + 2) == "{" => {
                    let name = word(at + 1).to_owned();
                    self.module().children.insert(name.clone());
                    let mut names = self.open.last().expect("open").0.clone();
                    names.push(name);
                    self.open.push((names, self.depth));
                    self.module();
                    self.depth += 1;
                    at += 2;
                }
                "{" | "(" | "[" => self.depth += 1,
                "}" | ")" | "]" => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.open.len() > 1 && self.open.last().is_some_and(|&(_, began)| began == self.depth) {
                        self.open.pop();
                    }
                }
                "struct" | "enum" | "union" | "fn" | "trait" | "type" | "const" | "static" | "macro_rules" => {
                    let began = self.open.last().map_or(0, |&(_, began)| began);
                    let name = (at + 1..at + 3).find(|&at| is_name(at) && word(at) != "fn" && word(at) != "mut");
                    if let Some(name) = name
                        && (self.depth == began || self.depth == began + 1)
                    {
                        self.module().items.insert(word(name).into());
                    }
                }
                _ if is_name(at) && word(at + 1) == "::" && (at == 0 || word(at - 1) != "::") => {
                    let line = tokens[at].line;
                    let mut names = vec![word(at).to_owned()];
                    while word(at + 1) == "::" && is_name(at + 2) {
                        names.push(word(at + 2).into());
                        at += 2;
                    }
                    self.module().paths.push((names, line));
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// Reads what follows `use`, or one branch of it; gives where it ends.
    fn use_tree(&mut self, tokens: &[Token], mut at: usize, before: &Names) -> usize {
        let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
        let mut names = before.clone();
        loop {
            match word(at) {
                "{" => {
                    at += 1;
                    while at < tokens.len() && word(at) != "}" {
                        at = self.use_tree(tokens, at, &names);
                        at += usize::from(word(at) == ",");
                    }
                    return at + 1;
                }
                "*" => {
                    if !self.public {
                        self.module().paths.push((names.clone(), tokens[at].line));
                    }
                    self.module().globs.push(names);
                    return at + 1;
                }
                "::" => at += 1,
                _ => {
                    let line = tokens[at].line;
                    if word(at) != "self" || names.is_empty() {
                        names.push(word(at).into());
                    }
                    at += 1;
                    if word(at) == "::" {
                        continue;
                    }
                    let mut alias = names.last().cloned().unwrap_or_default();
                    if word(at) == "as" {
                        alias = word(at + 1).into();
                        at += 2;
                    }
                    if self.public {
                        self.module().given.push((alias.clone(), names.clone(), line));
                    } else {
                        self.module().paths.push((names.clone(), line));
                    }
                    if alias != "_" {
                        self.module().imports.insert(alias, names);
                    }
                    return at;
                }
            }
        }
    }
}
