"""Makes mutants of one SQL function: each has one small mistake in it.

Deterministic: the same text gives the same mutants with the same ids (function, line and column in the text that
Postgres gives back, rule).
"""

import re
from typing import Iterator, NamedTuple

TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*)
      | (?P<text>'(?:[^']|'')*')
      | (?P<name>[A-Za-z_][A-Za-z0-9_$]*|\$\d+)
      | (?P<number>\d+)
      | (?P<mark>:=|::|<=|>=|<>|->>|->|\#>>|\#>|\|\||<<|\.\.|=>|[-+*/%<>=&(),;.\[\]|?~])
      | (?P<other>.)""",
    re.X | re.S,
)

OPERATORS = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "=": "<>", "<>": "=", "+": "-", "-": "+", "/": "*", "&": "|",
}
NAMES = {
    "and": "or", "or": "and", "true": "false", "false": "true", "greatest": "least", "least": "greatest",
    "sum": "max", "max": "min", "min": "max", "bit_or": "bit_and", "bool_or": "bool_and", "any": "all",
    "left": "", "not": "", "desc": "", "exists": "not exists", "stable": "",
}
# What one is easily written for the other.
MIXED_UP = {
    "p_amounts": "p_tokens", "p_tokens": "p_amounts", "v_day": "v_month", "v_month": "v_day", "day": "month",
    "credits_used": "credits_held", "credits_held": "credits_used", "tokens_max": "credits_max",
    "credits_max": "tokens_max", "used": "held", "held": "used", "charged": "debt", "debt": "charged",
    "posted": "held", "amount": "tokens", "tokens": "amount", "tokens_used": "tokens_seen",
    "tokens_seen": "tokens_used", "v_charged": "v_due", "v_due": "v_charged", "v_held": "v_free",
    "p_after": "p_until", "p_until": "p_after", "team_id": "key_id", "key_id": "team_id",
}
CLAUSE_ENDS = {
    "and", "or", "order", "group", "limit", "returning", "for", "then", "loop", "union", "window", "on", "when", "else",
    "end", "where", "from", "join", "left", "cross", "having", "as", "do", "using", "offset",
}


class Mutant(NamedTuple):
    """`start` and `end` are the place of `was` in the text."""

    id: str
    start: int
    end: int
    was: str
    becomes: str

    def applied_to(self, text: str) -> str:
        return text[: self.start] + self.becomes + text[self.end :]


class Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int
    depth: int


def tokens_of(text: str, start: int, end: int) -> list[Token]:
    found, depth = [], 0
    for match in TOKEN.finditer(text, start, end):
        if match.lastgroup == "space":
            continue
        word = match.group()
        depth -= word in ")]"
        found.append(Token(match.lastgroup, word, match.start(), match.end(), depth))
        depth += word in "(["
    return found


def is_statement(text: str) -> bool:
    """Whether a text in quotes is SQL that the function runs."""
    return len(text) > 14 and re.search(r"\b(select|insert|delete|organization_id)\b|and \(|using", text) is not None


class Mutator:
    def __init__(self, name: str, text: str):
        self.name, self.text = name, text
        opening = re.search(r"\bAS (\$\w*\$)", text)
        if opening:
            self.start = opening.end()
            self.end = text.index(opening.group(1), self.start)
        else:
            self.start = re.search(r"\b(RETURN|BEGIN ATOMIC)\b", text).start()
            self.end = len(text)
        body = text[self.start : self.end]
        begins = re.search(r"^begin\b", body, re.M)
        self.plpgsql = "LANGUAGE plpgsql" in text
        self.code = self.start + (begins.end() if self.plpgsql and begins else 0)
        self.tokens = tokens_of(text, self.start, self.end)
        self.mutants: dict[str, Mutant] = {}

    def add(self, rule: str, start: int, end: int, becomes: str) -> None:
        was = self.text[start:end]
        if was == becomes or any(m.start == start and m.becomes == becomes and m.end == end for m in self.mutants.values()):
            return
        line = self.text.count("\n", 0, start) + 1
        column = start - self.text.rfind("\n", 0, start)
        name = f"{self.name}:{line}:{column}:{rule}"
        self.mutants[name] = Mutant(name, start, end, was, becomes)

    def all(self) -> list[Mutant]:
        self.words(self.tokens)
        for token in self.tokens:
            if token.kind == "text" and is_statement(token.text):
                self.words(tokens_of(self.text, token.start + 1, token.end - 1), inside=True)
        self.conditions(self.tokens)
        self.calls()
        self.lists()
        if self.plpgsql:
            self.statements()
        return sorted(self.mutants.values())

    # One word or sign for another.
    def words(self, tokens: list[Token], inside: bool = False) -> None:
        for place, token in enumerate(tokens):
            before = tokens[place - 1] if place else None
            after = tokens[place + 1] if place + 1 < len(tokens) else None
            word = token.text.lower()
            if not inside and token.start < self.code and self.plpgsql and token.kind != "name":
                continue
            if token.kind == "mark" and word in OPERATORS:
                if word == "=" and self.assigns(tokens, place):
                    continue
                unary = word == "-" and (before is None or before.text in ("(", ",", "||", "then", "else", "select") or before.text in ("=", ":="))
                self.add("sign", token.start, token.end, "" if unary else OPERATORS[word])
                if word in ("<", "<=", ">", ">="):
                    self.add("turned", token.start, token.end, {"<": ">", "<=": ">=", ">": "<", ">=": "<="}[word])
            elif token.kind == "number" and not inside:
                if before is not None and before.text == "<<":
                    continue
                self.add("number", token.start, token.end, {"0": "1", "1": "0"}.get(word, str(int(word) + 1)))
            elif token.kind == "text" and not inside and re.fullmatch(r"'[a-z_]+'", token.text):
                self.add("text", token.start, token.end, "'else'")
            elif token.kind == "name":
                if before is not None and before.text == "." and word not in MIXED_UP:
                    continue
                if word in NAMES:
                    if word == "left" and (after is None or after.text.lower() != "join"):
                        continue
                    if word in ("max", "min", "sum", "any", "greatest", "least") and (after is None or after.text != "("):
                        continue
                    if word == "not" and after is not None and after.text in ("found", "null"):
                        pass
                    if word == "stable" or (word == "not" and before is not None and before.text == "is"):
                        continue
                    if word == "not" and before is not None and before.text == "do":
                        continue
                    self.add("word", token.start, token.end, NAMES[word])
                elif word == "is":
                    nots = after is not None and after.text == "not"
                    self.add("is", token.start, after.end if nots else token.end, "is" if nots else "is not")
                elif word == "for" and after is not None and after.text.lower() == "update":
                    self.add("lock", token.start, after.end, "")
                elif word in MIXED_UP and token.start >= self.code and not self.declares(tokens, place):
                    self.add("mixed", token.start, token.end, MIXED_UP[word])
                elif word == "by" and before is not None and before.text.lower() == "order":
                    self.order(tokens, place)

    def order(self, tokens: list[Token], place: int) -> None:
        depth, n = tokens[place].depth, place + 1
        while n < len(tokens) and not (
            tokens[n].depth < depth or tokens[n].depth == depth and (tokens[n].text in (",", ";", "desc") or tokens[n].text.lower() in CLAUSE_ENDS | {"rows"})
        ):
            n += 1
        if n == len(tokens) or tokens[n].text != "desc":
            self.add("order", tokens[n - 1].end, tokens[n - 1].end, " desc")

    def assigns(self, tokens: list[Token], place: int) -> bool:
        """Whether this `=` sets a column."""
        n = place - 1
        if tokens[n].text == ")":
            depth = tokens[n].depth
            while not (tokens[n].text == "(" and tokens[n].depth == depth):
                n -= 1
        before = tokens[n - 1].text.lower()
        if before == "set":
            return True
        if before != ",":
            return False
        depth, n = tokens[place].depth, n - 1
        while n >= 0 and tokens[n].depth >= depth:
            word = tokens[n].text.lower()
            if tokens[n].depth == depth and word in ("set", "select", "where", ";", "from", "values"):
                return word == "set"
            n -= 1
        return False

    def declares(self, tokens: list[Token], place: int) -> bool:
        """Whether this name only names: a column list of an insert, an alias list, a column that is set."""
        after = tokens[place + 1].text if place + 1 < len(tokens) else ""
        before = tokens[place - 1].text.lower()
        if after == "=" and self.assigns(tokens, place + 1):
            return True
        if before == "as":
            return True
        # In parentheses right behind a name that is no function of ours: `as g (…)`, `insert into t (…)`.
        depth, n = tokens[place].depth, place
        while n >= 0 and tokens[n].depth >= depth:
            n -= 1
        if n <= 0:
            return False
        names = all(t.kind == "name" or t.text in ",." for t in tokens[n + 1 : place])
        return names and tokens[n].text == "(" and tokens[n - 1].kind == "name" and (
            tokens[n - 2].text.lower() in ("as", ".", "with", ",", "c", "into") and tokens[n - 1].text.lower() not in ("unnest", "coalesce", "sum", "greatest", "least")
        )

    # Conditions and their parts.
    def conditions(self, tokens: list[Token]) -> None:
        for place, token in enumerate(tokens):
            word = token.text.lower()
            if token.start < self.code or word not in ("where", "on", "if", "when", "elsif", "while"):
                continue
            if word == "on" and tokens[place + 1].text.lower() in ("conflict", "constraint", "("):
                continue
            depth, parts, begin, n = token.depth, [], place + 1, place + 1
            cases = between = 0
            while n < len(tokens):
                here, at = tokens[n].text.lower(), tokens[n].depth
                if at < depth or at == depth and here == ";":
                    break
                if at == depth:
                    if here == "case":
                        cases += 1
                    elif here == "end" and cases:
                        cases -= 1
                    elif cases:
                        pass
                    elif here == "between":
                        between += 1
                    elif here == "and" and between:
                        between -= 1
                    elif here in ("and", "or"):
                        parts.append((begin, n))
                        begin = n + 1
                    elif here == "from" and tokens[n - 1].text.lower() == "distinct":
                        pass
                    elif here in CLAUSE_ENDS:
                        break
                n += 1
            parts.append((begin, n))
            for first, last in parts:
                if first < last:
                    self.add("true", tokens[first].start, tokens[last - 1].end, "true")
            if begin < n:
                self.add("never", tokens[place + 1].start, tokens[n - 1].end, "false")

    # Calls that have a part too many or too few.
    def calls(self) -> None:
        for place, token in enumerate(self.tokens[:-1]):
            if token.start < self.code or self.tokens[place + 1].text != "(":
                continue
            word = token.text.lower()
            if word not in ("coalesce", "greatest", "least", "abs", "ceil"):
                continue
            inner = [t for t in self.tokens[place + 2 :]]
            depth, commas, n = self.tokens[place + 1].depth, [], place + 2
            while not (self.tokens[n].text == ")" and self.tokens[n].depth == depth):
                if self.tokens[n].text == "," and self.tokens[n].depth == depth + 1:
                    commas.append(n)
                n += 1
            first = self.text[self.tokens[place + 2].start : self.tokens[(commas or [n])[0] - 1].end]
            self.add("first", token.start, self.tokens[n].end, f"({first})")

    # Neighbours in a list that are swapped, and columns that are not set.
    def lists(self) -> None:
        for place, token in enumerate(self.tokens):
            if token.start < self.code:
                continue
            if token.text == ",":
                left, right = self.dotted(place - 1, -1), self.dotted(place + 1, 1)
                if left and right and self.by_place(place) and self.text[left[0] : left[0] + 2] == self.text[right[0] : right[0] + 2]:
                    swapped = self.text[right[0] : right[1]] + self.text[left[1] : right[0]] + self.text[left[0] : left[1]]
                    self.add("swapped", left[0], right[1], swapped)
            if token.text.lower() == "set" and self.tokens[place - 1].text.lower() != "only":
                self.unset(place)

    def by_place(self, place: int) -> bool:
        """Whether the columns of this list go by their place: in a common table expression they have names."""
        depth, n = self.tokens[place].depth, place
        while n > 0 and self.tokens[n].depth >= depth and self.tokens[n].text.lower() not in ("select", "returning", "values"):
            n -= 1
        word, before = self.tokens[n].text.lower(), self.tokens[n - 1].text.lower()
        if word == "select" and self.tokens[n].depth == depth:
            names = before == "(" or before == "all" or self.is_record(n)
            return not names
        return word != "returning"

    def is_record(self, select: int) -> bool:
        for token in self.tokens[select:]:
            if token.text == ";" or token.depth < self.tokens[select].depth:
                return False
            if token.text.lower() == "into" and token.depth == self.tokens[select].depth:
                return ", " not in self.text[token.end : self.text.index(" from", token.end)] if " from" in self.text[token.end :] else False
        return False

    def dotted(self, place: int, way: int) -> tuple[int, int] | None:
        three = self.tokens[place - 2 : place + 1] if way < 0 else self.tokens[place : place + 3]
        if len(three) < 3 or three[0].kind != "name" or three[1].text != "." or three[2].kind != "name":
            return None
        if way > 0 and place + 3 == len(self.tokens):
            return None
        beyond = self.tokens[place - 3] if way < 0 else self.tokens[place + 3]
        ends = ("(", ",", "select", "returning") if way < 0 else (",", ")", "from", "into", "returning")
        return (three[0].start, three[2].end) if beyond.text.lower() in ends else None

    def unset(self, place: int) -> None:
        depth, items, begin, n, cases = self.tokens[place].depth, [], place + 1, place + 1, 0
        while n < len(self.tokens):
            here, at = self.tokens[n].text.lower(), self.tokens[n].depth
            if at < depth or at == depth and (here == ";" or (here in ("from", "where", "returning") and not cases)):
                break
            cases += (at == depth) * ((here == "case") - (here == "end"))
            if here == "," and at == depth:
                items.append((begin, n))
                begin = n + 1
            n += 1
        items.append((begin, n))
        for which, (first, last) in enumerate(items):
            if len(items) == 1:
                continue
            # With the comma behind it, or before the last one.
            start = self.tokens[first].start if which + 1 < len(items) else self.tokens[first - 1].start
            end = self.tokens[last].end if which + 1 < len(items) else self.tokens[last - 1].end
            self.add("unset", start, end, "")

    # Statements that are not there.
    def statements(self) -> None:
        stack, begin, tokens = [], None, [t for t in self.tokens if t.start >= self.code]
        n = 0
        while n < len(tokens):
            word = tokens[n].text.lower()
            at_start = begin is None
            if at_start:
                begin = n
            if word == "case":
                stack.append("case")
            elif at_start and word in ("if", "for", "while", "loop", "begin"):
                stack.append(word)
                if word in ("begin", "loop"):
                    begin = None
            elif at_start and word in ("elsif", "else"):
                if word == "else":
                    begin = None
            elif word == "end":
                if stack and stack[-1] == "case":
                    stack.pop()
                elif at_start:
                    if stack:
                        stack.pop()
                    while n < len(tokens) and tokens[n].text != ";":
                        n += 1
                    begin = None
            elif word == "then" and stack and stack[-1] == "if" or word == "loop" and stack and stack[-1] in ("for", "while"):
                begin = None
            elif word == ";" and tokens[n].depth == 0:
                self.add("gone", tokens[begin].start, tokens[n].end, "null;")
                begin = None
            n += 1


def mutants_of(name: str, text: str) -> list[Mutant]:
    return Mutator(name, text).all()


def shown(text: str, mutant: Mutant) -> Iterator[str]:
    """The changed lines, before and after."""
    first, last = text.rfind("\n", 0, mutant.start) + 1, text.find("\n", mutant.end)
    for sign, whole in (("-", text[first:last]), ("+", text[first : mutant.start] + mutant.becomes + text[mutant.end : last])):
        for line in whole.splitlines():
            yield f"{sign} {line.strip()}"
