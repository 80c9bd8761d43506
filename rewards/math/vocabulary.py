r"""Words and commands the lexer knows: functions, relations, connectives, Greek letters."""

FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc asin acos atan sinh cosh "
    "tanh coth sech csch arcsinh arccosh arctanh log ln lg exp max min gcd lcm abs cis floor ceil "
    "sgn Re Im re im arg det sqrt cbrt binom".split()
)
ALIASES = {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "arctg": "arctan", "tg": "tan",
    "ctg": "cot", "cosec": "csc", "ceiling": "ceil", "Arcsin": "arcsin", "Arctan": "arctan",
    "Re": "re", "Im": "im", "asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh",
}  # fmt: skip
GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi "
    "pi rho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma "
    "Upsilon Phi Psi Omega ell hbar".split()
)
PLAIN_GREEK = frozenset(
    "alpha beta gamma delta epsilon theta lambda pi rho sigma phi omega".split()
)
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
SETS = {"R": "R", "Z": "Z", "N": "N", "Q": "Q", "C": "C"}
ACCENTS = frozenset(
    "overline bar vec hat widehat tilde widetilde dot ddot overrightarrow overleftrightarrow "
    "mathcal mathscr mathfrak".split()
)
ARROWS = frozenset(
    "Rightarrow implies Longrightarrow iff Leftrightarrow Longleftrightarrow therefore "
    "rightarrow longrightarrow".split()
)
TEXT_COMMANDS = frozenset(
    "text textbf textit textrm textsf texttt textsc textnormal textup mathrm operatorname rm "
    "mathop mbox".split()
)
SHORT_WORDS = frozenset(
    "am an and any are as at be but by can day do few for from has he her him his how if in is it "
    "its least less more most men my no none not odd of off old on one only or our out pm red set "
    "she six so ten the then this to too top two up us was way we who why yes you or else all new "
    "bit box cup day egg car dog cat hat pen pie boy man toy bag bus ton mile true false nan dne "
    "ad bc mod per sum via win low high blue east west north south even each both ways left right "
    "day days tie big add age sum ice".split()
)
"""Words of two and three letters (and a few more) that are not products of variables."""
