r"""Words and commands the lexer knows: functions, relations, connectives, Greek letters."""

from rewards.answers.wording.number_words import word_list
from rewards.answers.wording.roles import is_known
from rewards.answers.wording.units import is_unit_word


def word_set(text: str) -> frozenset[str]:
    return frozenset(word_list(text))


FUNCTIONS = word_set(
    "sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc asin acos atan sinh "
    "cosh tanh coth sech csch arcsinh arccosh arctanh log ln lg exp max min gcd lcm abs cis "
    "floor ceil sgn Re Im re im arg det sqrt cbrt binom"
)
ALIASES = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "arctg": "arctan", "tg": "tan",
    "ctg": "cot", "cosec": "csc", "ceiling": "ceil", "Arcsin": "arcsin", "Arctan": "arctan",
    "Re": "re", "Im": "im", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh",
}  # fmt: skip
GREEK = word_set(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu "
    "nu xi pi rho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi "
    "Sigma Upsilon Phi Psi Omega ell hbar"
)
PLAIN_GREEK = word_set("alpha beta gamma delta epsilon theta lambda pi rho sigma phi omega")
CANONICAL = {"varepsilon": "epsilon", "varphi": "phi", "vartheta": "theta"}
RELATIONS = {
    "le": "<=", "leq": "<=", "leqslant": "<=", "ge": ">=", "geq": ">=", "geqslant": ">=",
    "lt": "<", "gt": ">", "ne": "!=", "neq": "!=", "approx": "~", "thickapprox": "~",
    "simeq": "~", "cong": "~", "doteq": "~", "equiv": "=", "leqq": "<=", "geqq": ">=",
}  # fmt: skip
OPERATORS = {
    "times": "*", "cdot": "*", "ast": "*", "div": "/", "pm": "pm", "mp": "mp", "bullet": "*",
}  # fmt: skip
BRACKETS = {
    "{": "set(", "}": "set)", "lbrace": "set(", "rbrace": "set)", "langle": "<(", "rangle": ")>",
    "lbrack": "[", "rbrack": "]", "lparen": "(", "rparen": ")", "lfloor": "floor(",
    "rfloor": "floor)", "lceil": "ceil(", "rceil": "ceil)", "lvert": "|(", "rvert": "|)",
    "vert": "|", "|": "||", "lVert": "||", "rVert": "||",
}  # fmt: skip
ARROWS = word_set(
    "Rightarrow implies Longrightarrow iff Leftrightarrow Longleftrightarrow therefore "
    "rightarrow longrightarrow"
)
TEXT_COMMANDS = word_set(
    "text textbf textit textrm textsf texttt textsc textnormal textup mathrm operatorname rm "
    "mathop mbox"
)
_SHORT_WORDS = word_set(
    "am as bag big bit blue both box boy bus can car cat cup day days dne do dog east egg even few "
    "hat how ice its less low man mile most nan new north odd off pen pie pm red south tie ton too "
    "top toy true via way west why yes"
)
"""Short words without a role beside a number that are not products of variables."""
_KINDS = {
    "cup": ("setop", "cup"), "cap": ("setop", "cap"), "setminus": ("setop", "minus"),
    "backslash": ("setop", "minus"), "in": ("in", "in"), "notin": ("in", "notin"),
    "infty": ("inf", "inf"), "emptyset": ("empty", "empty"), "varnothing": ("empty", "empty"),
    "degree": ("deg", "deg"), "circ": ("op", "circ"), "prime": ("op", "'"), "%": ("pct", "%"),
    "ldots": ("dots", "..."), "cdots": ("dots", "..."), "dots": ("dots", "..."),
    "\\": ("row", "row"), "land": ("word", "and"), "wedge": ("word", "and"),
    "lor": ("word", "or"), "vee": ("word", "or"), "to": ("arrow", "->"), "mid": ("bar", "|"),
    "colon": ("sep", ":"), "dfrac": ("cmd", "frac"), "tfrac": ("cmd", "frac"),
    "cfrac": ("cmd", "frac"), "dbinom": ("cmd", "binom"), "tbinom": ("cmd", "binom"),
    "R": ("field", "R"), "Z": ("field", "Z"), "N": ("field", "N"), "Q": ("field", "Q"),
    "euro": ("money", "eur"), "pounds": ("money", "gbp"), "imath": ("sym", "i"),
    "jmath": ("sym", "j"), "_": ("op", "_"), "&": ("word", "and"), "#": ("other", "#"),
    "newline": ("row", "row"), "cr": ("row", "row"), "sp": ("op", "^"), "ne": ("rel", "!="),
}  # fmt: skip


def command(name: str) -> tuple[str, str]:
    """Kind and text of a command that takes no argument here."""
    name = ALIASES.get(name, name)
    if name in FUNCTIONS and name not in ("sqrt", "binom"):
        return "func", name
    if name in GREEK:
        return "sym", CANONICAL.get(name, name)
    for table, kind in ((RELATIONS, "rel"), (OPERATORS, "op")):
        if name in table:
            return kind, table[name]
    if name in BRACKETS:
        return bracket(BRACKETS[name])
    if name in ARROWS:
        return "arrow", "=>"
    return _KINDS.get(name, ("cmd", name))


def bracket(text: str) -> tuple[str, str]:
    if text in ("|", "||"):
        return "bar", text
    if text == "<(":
        return "open", "<"
    if text == ")>":
        return "close", "<"
    if text[-1] in "([":
        return "open", text[:-1] if len(text) > 1 else text
    return ("close", {")": "(", "]": "["}.get(text, text[:-1]))


def words_of(
    run: str, *, roman: bool, follows_digit: bool, follows: bool, apart: bool
) -> list[tuple[str, str, int]]:
    """A run of letters as words, functions or variables: (kind, text, length).

    roman: in a text command; follows: something stands before; apart: white space around it
    """
    name = run if run in ("tg", "ctg") else ALIASES.get(run, run)
    size = len(run)
    if roman and follows and run in ("min", "sec"):
        return [("word", run, size)]
    if name in FUNCTIONS and (size > 2 or not roman):
        kind = "cmd" if name in ("sqrt", "binom", "cbrt") else "func"
        return [(kind, name, size)]
    if run.lower() in ("inf", "infinity", "infty") or run == "oo":
        return [("inf", "inf", size)]
    if size == 1:
        return [("word" if roman and is_unit_word(run) else "sym", run, 1)]
    if run in PLAIN_GREEK:
        return [("sym", run, size)]
    looks_like_word = (
        roman
        or size > 3
        or is_unit_word(run)
        or ((run.lower() in _SHORT_WORDS or is_known(run.lower())) and (apart or follows_digit))
        or (run[0].isupper() and run[1:].islower())
    )
    if looks_like_word and not (follows_digit and size > 3 and not is_unit_word(run)):
        return [("word", run, size)]
    return [("sym", letter, 1) for letter in run]
