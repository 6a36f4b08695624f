//! Rust's text as words and signs, as far as reading imports needs: comments and the content of literals are dropped.

/// One token and the line it begins on, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// Tokens of a file. Names are whole, `::` is one token, a literal is `""`, every other sign stands alone.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut reader = Reader { chars: text.chars().collect(), at: 0, line: 1, tokens: Vec::new() };
    while reader.at < reader.chars.len() {
        reader.step();
    }
    reader.tokens
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
}

impl Reader {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn advance(&mut self, count: usize) {
        for _ in 0..count {
            self.line += usize::from(self.peek(0) == '\n');
            self.at += 1;
        }
    }

    fn push(&mut self, text: impl Into<String>, line: usize) {
        self.tokens.push(Token { text: text.into(), line });
    }

    fn step(&mut self) {
        let line = self.line;
        match self.peek(0) {
            c if c.is_whitespace() => self.advance(1),
            '/' if self.peek(1) == '/' => {
                while self.at < self.chars.len() && self.peek(0) != '\n' {
                    self.advance(1);
                }
            }
            '/' if self.peek(1) == '*' => self.block_comment(),
            '"' => self.string(line),
            '\'' => self.character(line),
            c if c == '_' || c.is_alphanumeric() => self.word(line),
            ':' if self.peek(1) == ':' => {
                self.advance(2);
                self.push("::", line);
            }
            c => {
                self.advance(1);
                self.push(c, line);
            }
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => {
                    depth += 1;
                    self.advance(2);
                }
                ('*', '/') => {
                    depth -= 1;
                    self.advance(2);
                    if depth == 0 {
                        return;
                    }
                }
                _ => self.advance(1),
            }
        }
    }

    fn string(&mut self, line: usize) {
        self.advance(1);
        while self.at < self.chars.len() && self.peek(0) != '"' {
            self.advance(if self.peek(0) == '\\' { 2 } else { 1 });
        }
        self.advance(1);
        self.push("\"\"", line);
    }

    /// A character, or a lifetime, which is dropped.
    fn character(&mut self, line: usize) {
        if self.peek(1) == '\\' {
            self.advance(3);
            while self.at < self.chars.len() && self.peek(0) != '\'' {
                self.advance(1);
            }
            self.advance(1);
            self.push("\"\"", line);
        } else if self.peek(2) == '\'' {
            self.advance(3);
            self.push("\"\"", line);
        } else {
            self.advance(1);
            while self.peek(0) == '_' || self.peek(0).is_alphanumeric() {
                self.advance(1);
            }
        }
    }

    /// A name or number; or a literal whose prefix this is: `b"…"`, `r#"…"#`, `b'…'`, `r#name`.
    fn word(&mut self, line: usize) {
        let start = self.at;
        while self.peek(0) == '_' || self.peek(0).is_alphanumeric() {
            self.advance(1);
        }
        let word: String = self.chars[start..self.at].iter().collect();
        let raw = matches!(word.as_str(), "r" | "br" | "cr");
        let hashes = self.chars[self.at..].iter().take_while(|&&c| c == '#').count();
        if raw && self.peek(hashes) == '"' {
            self.advance(hashes + 1);
            while self.at < self.chars.len() && !(self.peek(0) == '"' && (1..=hashes).all(|n| self.peek(n) == '#')) {
                self.advance(1);
            }
            self.advance(hashes + 1);
            self.push("\"\"", line);
        } else if matches!(word.as_str(), "b" | "c") && self.peek(0) == '"' {
            self.string(line);
        } else if word == "b" && self.peek(0) == '\'' {
            self.character(line);
        } else if word == "r" && hashes == 1 {
            self.advance(1);
            self.word(line);
        } else {
            self.push(word, line);
        }
    }
}

#[test]
fn comments_and_literals_are_dropped_and_lines_are_kept() {
    let text = "use a::b; // c::d\n/* e /* f */ */ let x = r#\"g::h\"#;\nfn f<'a>(c: char) { c == '\\'' || c == '\"' || b\"i::j\" }";
    let words: Vec<_> = tokens(text).into_iter().map(|token| format!("{}{}", token.text, token.line)).collect();
    let expected = "use1 a1 ::1 b1 ;1 let2 x2 =2 \"\"2 ;2 fn3 f3 <3 >3 (3 c3 :3 char3 )3 {3 c3 =3 =3 \"\"3 |3 |3 c3 =3 =3 \"\"3 |3 |3 \"\"3 }3";
    assert_eq!(words.join(" "), expected);
}
