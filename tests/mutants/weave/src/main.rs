//! Weaves the mutants of `cargo mutants --list --json` into the sources of one crate, each behind a switch.
//!
//! `weave LIST CRATE [ID…]` rewrites files under `CRATE`. The mutant with index `n` of the list runs where
//! `mutant::on(n)`. The ids that follow are left out. Prints `{"woven": [{id, file, parts: [[start, end]]}], "left": [id]}`:
//! the bytes that belong to each mutant, so that an error of the compiler can be laid to one.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::{env, fs};

use serde::Deserialize;
use serde_json::json;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

#[derive(Deserialize)]
struct Mutant {
    file: String,
    genre: String,
    replacement: String,
    span: Span,
}

#[derive(Deserialize)]
struct Span {
    start: Place,
    end: Place,
}

/// Lines and columns (in characters) count from 1.
#[derive(Deserialize)]
struct Place {
    line: usize,
    column: usize,
}

/// Text that goes in before and after a range of the source. `outer` is where two begin at the same byte.
struct Wrap {
    range: Range<usize>,
    open: String,
    close: String,
    ids: Vec<usize>,
    outer: usize,
}

/// One file: its text, where its lines begin, and the mutants in it by the range that they replace.
struct Weaver<'a> {
    text: &'a str,
    lines: Vec<usize>,
    mutants: BTreeMap<(usize, usize), Vec<(usize, &'a Mutant)>>,
    wraps: Vec<Wrap>,
    /// `const` of functions that ask at run time which mutant is on.
    cut: Vec<Range<usize>>,
    woven: HashSet<usize>,
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [list, root, left_out @ ..] = arguments.as_slice() else { panic!("weave LIST CRATE [ID…]") };
    let left_out: HashSet<usize> = left_out.iter().map(|id| id.parse().expect("an id")).collect();
    let mutants: Vec<Mutant> = serde_json::from_slice(&fs::read(list).expect("the list")).expect("a list");
    let mut files: BTreeMap<&str, Vec<(usize, &Mutant)>> = BTreeMap::new();
    for (id, mutant) in mutants.iter().enumerate().filter(|(id, _)| !left_out.contains(id)) {
        files.entry(&mutant.file).or_default().push((id, mutant));
    }
    let (mut woven, mut parts) = (HashSet::new(), Vec::new());
    for (file, mutants) in files {
        let path = format!("{root}/{file}");
        let text = fs::read_to_string(&path).expect("a source file");
        let parsed = syn::parse_file(&text).expect("Rust");
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut weaver =
            Weaver { text: &text, lines, mutants: BTreeMap::new(), wraps: Vec::new(), cut: Vec::new(), woven: HashSet::new() };
        for (id, mutant) in mutants {
            let (start, end) = (&mutant.span.start, &mutant.span.end);
            let key = (weaver.byte(start.line, start.column - 1), weaver.byte(end.line, end.column - 1));
            weaver.mutants.entry(key).or_default().push((id, mutant));
        }
        weaver.visit_file(&parsed);
        let (changed, of_file) = weaver.render();
        woven.extend(weaver.woven.iter().copied());
        parts.extend(of_file.into_iter().map(|(id, parts)| json!({"id": id, "file": file, "parts": parts})));
        fs::write(&path, changed).expect("to write it");
    }
    let left: Vec<usize> = (0..mutants.len()).filter(|id| !woven.contains(id)).collect();
    println!("{}", json!({"woven": parts, "left": left}));
}

impl Weaver<'_> {
    fn byte(&self, line: usize, column: usize) -> usize {
        let start = self.lines[line - 1];
        self.text[start..].char_indices().nth(column).map_or(self.text.len(), |(at, _)| start + at)
    }

    fn range(&self, span: proc_macro2::Span) -> Range<usize> {
        let (start, end) = (span.start(), span.end());
        self.byte(start.line, start.column)..self.byte(end.line, end.column)
    }

    /// The mutants of these genres that replace just this range.
    fn at(&mut self, range: &Range<usize>, genre: &str) -> Vec<(usize, String)> {
        let found = self.mutants.get(&(range.start, range.end)).map_or(&[][..], Vec::as_slice);
        let found: Vec<_> =
            found.iter().filter(|(_, m)| m.genre == genre).map(|(id, m)| (*id, m.replacement.clone())).collect();
        self.woven.extend(found.iter().map(|(id, _)| *id));
        found
    }

    /// `whole`, but with `part` of it replaced where one of the mutants is on.
    fn choose(&mut self, whole: Range<usize>, part: &Range<usize>, mutants: &[(usize, String)]) {
        if mutants.is_empty() {
            return;
        }
        let mut open = String::from("(");
        for (id, replacement) in mutants {
            let (before, after) = (&self.text[whole.start..part.start], &self.text[part.end..whole.end]);
            open += &format!("if crate::mutant::on({id}) {{ {before}{replacement}{after} }} else ");
        }
        open += "{ ";
        self.wrap(whole, open, " })", mutants, 1);
    }

    fn wrap(&mut self, range: Range<usize>, open: String, close: &str, mutants: &[(usize, String)], outer: usize) {
        let ids = mutants.iter().map(|(id, _)| *id).collect();
        self.wraps.push(Wrap { range, open, close: close.to_owned(), ids, outer });
    }

    /// The changed text, and which of its bytes belong to which mutant.
    fn render(&self) -> (String, BTreeMap<usize, Vec<(usize, usize)>>) {
        // (byte, 0 closes / 1 cuts / 2 opens, order at this byte)
        let mut events: Vec<(usize, u8, i64, usize)> = Vec::new();
        for (index, wrap) in self.wraps.iter().enumerate() {
            let wide = (wrap.range.len() * 8 + wrap.outer) as i64;
            events.push((wrap.range.start, 2, -wide, index));
            if !wrap.range.is_empty() {
                events.push((wrap.range.end, 0, wide, index));
            }
        }
        events.extend(self.cut.iter().enumerate().map(|(index, cut)| (cut.start, 1, 0, index)));
        events.sort_unstable();
        let (mut out, mut done) = (String::new(), 0);
        let mut parts: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        let mut begun = BTreeMap::new();
        for (at, kind, _, index) in events {
            out += &self.text[done..at.max(done)];
            done = done.max(at);
            match kind {
                1 => done = self.cut[index].end,
                0 => {
                    out += &self.wraps[index].close;
                    for id in &self.wraps[index].ids {
                        parts.entry(*id).or_default().push((begun[&index], out.len()));
                    }
                }
                _ => {
                    let start = out.len();
                    begun.insert(index, start);
                    out += &self.wraps[index].open;
                    // Each alternative by itself, so that an error in one is not laid to the next.
                    let mut from = start;
                    for id in &self.wraps[index].ids {
                        let sign = format!("crate::mutant::on({id})");
                        let here = out[from..].find(&sign).map_or(from, |found| from + found);
                        let next = out[here + sign.len()..].find("crate::mutant::on(");
                        from = next.map_or(out.len(), |next| here + sign.len() + next);
                        parts.entry(*id).or_default().push((here, from));
                    }
                }
            }
        }
        out += &self.text[done..];
        (out, parts)
    }

    /// What a function's text contains of mutants decides whether it may stay `const`.
    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let range = self.range(block.span());
        if self.mutants.keys().any(|(start, _)| range.contains(start)) {
            if let Some(word) = &signature.constness {
                let cut = self.range(word.span());
                self.cut.push(cut);
            }
        }
        let (Some(first), Some(last)) = (block.stmts.first(), block.stmts.last()) else { return };
        let body = self.range(first.span()).start..self.range(last.span()).end;
        let mutants = self.at(&body, "FnValue");
        for (id, replacement) in mutants {
            let early = format!("if crate::mutant::on({id}) {{ return {replacement}; }} ");
            self.wrap(body.start..body.start, early, "", &[(id, String::new())], usize::MAX >> 16);
        }
    }
}

/// Whether `if let` names something in this chain: it may not be wrapped.
fn lets(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => lets(&binary.left) || lets(&binary.right),
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Weaver<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.function(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.function(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.function(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }

    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        let (whole, part) = (self.range(binary.span()), self.range(binary.op.span()));
        if !lets(&binary.left) && !lets(&binary.right) {
            let mutants = self.at(&part, "BinaryOperator");
            self.choose(whole, &part, &mutants);
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        let (whole, part) = (self.range(unary.span()), self.range(unary.op.span()));
        let mutants = self.at(&part, "UnaryOperator");
        self.choose(whole, &part, &mutants);
        visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_struct(&mut self, literal: &'ast syn::ExprStruct) {
        let whole = self.range(literal.span());
        for field in literal.fields.pairs() {
            let part = self.range(field.value().span()).start..self.range(field.span()).end;
            let mutants = self.at(&part, "StructField");
            self.choose(whole.clone(), &part, &mutants);
        }
        visit::visit_expr_struct(self, literal);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let gone = self.at(&self.range(arm.span()), "MatchArm");
        if let Some((_, guard)) = &arm.guard {
            let range = self.range(guard.span());
            if !lets(guard) {
                let mutants = self.at(&range, "MatchArmGuard");
                self.choose(range.clone(), &range, &mutants);
            }
            for (id, _) in &gone {
                let mutant = [(*id, String::new())];
                self.wrap(range.clone(), format!("!crate::mutant::on({id}) && ("), ")", &mutant, 2);
            }
        } else {
            let end = self.range(arm.pat.span()).end;
            for (id, _) in &gone {
                self.wrap(end..end, format!(" if !crate::mutant::on({id})"), "", &[(*id, String::new())], 3);
            }
        }
        visit::visit_arm(self, arm);
    }
}
