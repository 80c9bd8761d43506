r"""Powers, factorials and binomials that cannot blow up, whatever is asked of them.

A number too large to write out, such as 9^(9^9), becomes a formal expression in symbols `#2`, `#3`,
`#5`, ... that stand for its prime factors, so that 4^(50000000) still equals 2^(100000000).
"""

import sympy
from sympy import Expr, Integer, Pow, Symbol

MOST_BITS = 3_000_000
_MOST_FACTORIAL = 20_000
_SMALL_PRIMES = tuple(sympy.primerange(2, 100))
_MOST_BASE = 10**15  # a larger base of a huge power is not factored


def is_formal(expr: Expr) -> bool:
    """Whether some number in `expr` was too large to write out."""
    return any(symbol.name.startswith("#") for symbol in expr.free_symbols)


def settled(expr: Expr) -> Expr:
    """The expression with formal primes as numbers again, where their powers came out small."""
    if not is_formal(expr):
        return expr
    primes = {s: Integer(s.name[1:]) for s in expr.free_symbols if s.name[1:].isdecimal()}
    for node in expr.atoms(Pow):
        base, exponent = node.as_base_exp()
        if base in primes and not (exponent.is_Rational and abs(exponent) < 10_000):
            return expr
    return expr.xreplace(primes) if primes else expr


def power(base: Expr, exponent: Expr) -> Expr:
    """base ** exponent; formal where the result would be too large."""
    if base.is_Rational and exponent.is_Rational:
        if base == 0 or base == 1 or exponent == 0:
            return Pow(base, exponent)
        bits = max(abs(base.p).bit_length(), base.q.bit_length()) if base != -1 else 1
        if bits * abs(exponent.p) // exponent.q > MOST_BITS and base != -1:
            return _formal_power(base, exponent)
        if base < 0 and exponent.q % 2 and exponent.q > 1:
            magnitude = Pow(-base, exponent)  # the real root of a negative number
            return -magnitude if exponent.p % 2 else magnitude
        return Pow(base, exponent)
    if base.is_Rational and is_formal(exponent):
        return _formal_power(base, exponent)
    if base.is_Rational and exponent.is_number and exponent.is_real is not False:
        try:
            size = abs(float(exponent.evalf(15)))
        except (TypeError, OverflowError):
            size = float("inf")
        if size > MOST_BITS:
            return _formal_power(base, exponent)
    return Pow(base, exponent)


def _formal_power(base: Expr, exponent: Expr) -> Expr:
    if base == 0 or base == 1:
        return base
    sign = Integer(1)
    if base < 0:
        if not exponent.is_Integer:
            return Symbol(f"#{base}^{exponent}")
        sign, base = Integer(-1) ** (exponent.p % 2), -base
    result = sign
    for number, direction in ((base.p, 1), (base.q, -1)):
        factors: dict[str, int] = {}  # names of prime factors and their powers
        for prime in _SMALL_PRIMES:
            if number % prime == 0:
                times = int(sympy.multiplicity(prime, number))
                factors[f"#{prime}"] = times
                number //= prime**times
        if 1 < number <= _MOST_BASE:
            factors |= {f"#{prime}": times for prime, times in sympy.factorint(number).items()}
        elif number > 1:
            factors[f"#x{number:x}"] = 1  # what is left of a large number is one name
        for name, times in factors.items():
            result *= Pow(Symbol(name, positive=True), direction * times * exponent)
    return result


def factorial(argument: Expr) -> Expr:
    """argument!; a formal symbol when it is too large."""
    if argument.is_Integer and argument > _MOST_FACTORIAL:
        return Symbol(f"#fact({_short(argument)})", positive=True)
    if is_formal(argument):
        return Symbol(f"#fact({argument})", positive=True)
    return sympy.factorial(argument)


def double_factorial(argument: Expr) -> Expr:
    if argument.is_Integer and argument > _MOST_FACTORIAL:
        return Symbol(f"#fact2({_short(argument)})", positive=True)
    return sympy.factorial2(argument)


def binomial(above: Expr, below: Expr) -> Expr:
    """above choose below; a formal symbol when it is too large."""
    large = [part.is_Integer and abs(part) > _MOST_FACTORIAL for part in (above, below)]
    if is_formal(above) or is_formal(below) or (large[0] and not below.is_Integer) or all(large):
        return Symbol(f"#choose({_short(above)},{_short(below)})", positive=True)
    return sympy.binomial(above, below)


def _short(number: Expr) -> str:
    """A name for a number that may have thousands of digits."""
    if number.is_Rational and max(abs(number.p), number.q).bit_length() > 10_000:
        return f"{number.p:x}/{number.q:x}"
    return str(number)
