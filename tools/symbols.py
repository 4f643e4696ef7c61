"""Symbols of formulas and where each is first said to be something.

`python tools/symbols.py nbs/12_hypergrad.ipynb ...` lists, for each notebook, every letter of its
formulas in the order in which a reader meets them, with the words that come with it. A letter is
told when prose in its cell names it: a noun before it (*the step size $\\xi$*), *is*, *are* or an
equals sign behind it, or *with $H$ the Hessian*. What is not told where it first stands
is marked; `--untold` lists these alone, and ends with status 1 where there are any.
"""

import argparse
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MATH = re.compile(r'\$\$(.+?)\$\$|\$([^$\n]+?)\$', re.S)
GREEK = (
    'alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi '
    'pi rho sigma tau upsilon phi varphi chi psi omega ell Gamma Delta Theta Lambda Xi Pi Sigma '
    'Phi Psi Omega'
).split()
WORDS = re.compile(r'\\(?:mathrm|text|textrm|operatorname|mathtt|texttt)\*?\s*\{[^{}]*\}')
STYLED = re.compile(r'\\(?:mathcal|mathbb|mathbf|boldsymbol)\s*\{?\s*(\\?[A-Za-z]+)\s*\}?')
LETTER = re.compile(r'\\([A-Za-z]+)|([A-Za-z])')
SUBSCRIPT = re.compile(r'_(\{[a-z]{2,}\}|\{\\?[A-Za-z]+\|[^{}]*\})')  # a word, no letter
USUAL = set('d e i j k n \\pi \\partial \\mathbbR \\mathbbE \\mathcalN'.split())  # mathematics' own
NAMES = 'is are be was means denotes stands holds has have says gives for in'.split()
INTRODUCES = 'with where and let for from'.split()
ARTICLES = 'the a an its their one'.split()
NO_NOUN = set('of and or to by in at on with from than that then as if so but not'.split())


@dataclass
class Symbol:
    "A letter, where it first stands and what is said there"

    letter: str
    cell: int
    words: str
    told: bool


def letters(formula) -> list:
    "Letters of a formula in order, styles kept: `\\mathcal{L}` is another one than `L`."
    found = []
    formula = SUBSCRIPT.sub(' ', WORDS.sub(' ', formula))

    def styled(match):
        found.append(re.sub(r'[ {}]', '', match[0]))
        return ' '

    rest = STYLED.sub(styled, formula)
    for command, letter in LETTER.findall(rest):
        if letter:
            found.append(letter)
        elif command in GREEK:
            found.append('\\' + command)
    return list(dict.fromkeys(found))


def told(letter, text) -> bool:
    "Does prose name the letter?"
    for match in MATH.finditer(text):
        inline = match[2]
        if not inline or letter not in letters(inline):
            continue
        before = re.findall(r"[A-Za-z'-]+(?=[ (]*$)", text[: match.start()].rsplit('$', 1)[-1])
        after = re.match(r'[^A-Za-z$]{0,4}([A-Za-z]+)', text[match.end() :])
        if before and before[-1].lower() not in NO_NOUN:
            return True
        if after and after[1].lower() in NAMES:
            return True
        introduced = text[: match.start()].rstrip().endswith((',', ';'))
        introduced |= bool(before) and before[-1].lower() in INTRODUCES
        if introduced and after and after[1] in ARTICLES:
            return True
        if re.search(r'(?<![<>])=|\\in\b|\\sim\b|:=', inline):
            return True
    return False


def sentence(text, place) -> str:
    "What stands around a place, on one line"
    start = max(text.rfind('. ', 0, place), text.rfind('\n\n', 0, place)) + 1
    end = text.find('. ', place)
    return ' '.join(text[start : end if end > 0 else None].split())


def symbols(path) -> list:
    "Of a notebook, in the order in which a reader meets them"
    cells = json.loads(Path(path).read_text())['cells']
    seen = {}
    for number, cell in enumerate(cells):
        if cell['cell_type'] != 'markdown':
            continue
        text = ''.join(cell['source'])
        for match in MATH.finditer(text):
            for letter in letters(match[1] or match[2]):
                if letter not in seen:
                    words = sentence(text, match.start())
                    seen[letter] = Symbol(letter, number, words, told(letter, text))
    return list(seen.values())


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('notebooks', nargs='*', type=Path, help='all, where none is named')
    p.add_argument('--untold', action='store_true', help='only what is not said where it stands')
    a = p.parse_args()
    missing = 0
    for path in a.notebooks or sorted(ROOT.glob('nbs/**/*.ipynb')):
        rows = symbols(path)
        open_ones = [s for s in rows if not s.told and s.letter not in USUAL]
        missing += len(open_ones)
        shown = open_ones if a.untold else rows
        if shown:
            print(f'{path.name}: {len(rows)} symbols, {len(open_ones)} not told where they first stand')
        for s in shown:
            mark = '?' if s in open_ones else ' '
            print(f'  {mark} {s.letter:14} cell {s.cell:3}  {s.words[:150]}')
    sys.exit(a.untold and missing > 0)


if __name__ == '__main__':
    main()
