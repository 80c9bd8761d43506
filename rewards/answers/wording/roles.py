"""What the words beside a number do to it: the one place that knows English words.

A word has the roles of the table; any other word is unknown. Two errors tell what is wrong with a
reading. `Refused`: known words deny the answer, leave it open or change it, which ends the search.
`Unread`: something is unknown, so the number may mean anything; another reading may be tried. What
may be beside a number is listed. The one exception is the name of what is counted, after the
number: it may be any word in the plural (`18 duck eggs`), since names of things cannot be listed.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from rewards.answers.wording.number_words import NUMBER_WORDS

_TABLE = """
denies     fails refuse nobody nothing hardly barely scarcely not never neither nor cannot either
denies     unsure unknown wrong incorrect false untrue perhaps maybe possibly doubt deny guess
denies     something anything whatever mistake wait candidates at-least at-most
hedges     probably presumably nicht kein keine pas n\u00e3o nunca jam\u00e1s \u043d\u0435
hedges     mindestens h\u00f6chstens menos moins
retracts   wait actually correction oops sorry hmm no
revokes    scratch disregard ignore
errs       wrong incorrect mistaken mistake forgot missed error
refers     answer box result value
divides    off short down under over lower higher upwards onwards thereabouts always sometimes
divides    besides does or no none if else otherwise without unless except instead but
divides    alternatively actually however although
computes   twice double triple thrice half quarter squared cubed factorial plus minus divided
computes   multiplied mod negative reciprocal opposite inverse
states     is are was were be equals equal
leads      so thus hence therefore then now finally also since and the a an our my this that these
leads      it there they we i he she you exactly precisely only just about approximately in to get
leads      find have obtain conclude see means think believe say should would will must has
leads      definitely certainly worth
grades     final correct right exact same possible such smallest largest least greatest minimum
grades     maximum required desired numerical simplified overall common
measures   answer answers ans result value total sum amount cost price profit distance length width
measures   height area perimeter volume probability weight speed time age difference product
measures   quotient remainder ratio average mean median percentage angle measure radius diameter
measures   slope score population temperature size output rate chance
heads      number numbers values integer integers digit digits term point points line equation
heads      solution solutions function expression series sequence integral limit set vertex center
heads      root roots coefficient fraction degree range domain coordinates ways room count
opens      of in for to on at from by with during that who which than are were and between after
opens      before around through among into a an per each every
rates      a an per each every of
closes     left total altogether remaining remain more each old long tall wide high deep away apart
closes     now today tomorrow together combined needed ago ahead early late extra overall back
closes     change profit saved
spans      in after for during each every the all these those his her their first last next
plurals    people children men women feet teeth mice dice fish sheep deer
limits     for where when whenever with
limited    for where all any every each some real natural whole positive nonnegative integer
limited    integers number numbers value values is are an a the arbitrary constant constants and in
limited    of
verbs      amount answer arrive ate bake become brought bring burn buy bought carry catch caught
verbs      charge climb collect come complete contain cook cost count cover deliver donate drank
verbs      drink drive drove earn eat equal fill find finish fit found gather gave get give go got
verbs      grew grow had harvest has have hike hold invite jump keep kept last lead leave lift lose
verbs      lost made make need obtain order owe own paid pay pick plant play produce put raise ran
verbs      read receive reduce require round run save score seat sell send sent serve simplify
verbs      sleep slept sold simplifies spend spent study take took total travel use walk want wash
verbs      watch weigh went win won work write wrote yield
modals     will would should must can could
alters     add subtract multiply divide halve exceed surpass lack miss omit differ
alters     more fewer less times than
particles  another additional extra him her them me us up out away back
"""
_ROLES: dict[str, frozenset[str]] = {}
for _line in _TABLE.strip().split("\n"):
    _role, *_words = _line.split()
    _ROLES[_role] = _ROLES.get(_role, frozenset()) | frozenset(_words)
_ROLES["numbers"] = NUMBER_WORDS
_ROLES["heads"] |= _ROLES["measures"]
_STRUCTURE = ("denies", "divides", "computes", "numbers", "states", "leads", "opens", "rates")
_PLURALS = tuple(_ROLES["plurals"])
_LONGEST_LABEL = 5  # words
WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_TOGETHER = {
    "in total": "altogether", "in all": "altogether", "left over": "left", "may be": "maybe",
    "might be": "maybe", "could be": "maybe", "at least": "at-least", "at most": "at-most",
    "no doubt": "certainly",
}  # fmt: skip
_PAIRS = re.compile(r"\b(?:" + "|".join(_TOGETHER) + r")\b")


class Unread(ValueError):
    """The text is not an answer that is understood."""


class Refused(Exception):
    """The text is understood, and denies the answer, leaves it open or makes another one of it."""


def words_of(text: str) -> list[str]:
    """The words of a text in lower case; `in total` and the like are one word."""
    words = [word.replace("\u2019", "'").removesuffix("'s") for word in WORD.findall(text.lower())]
    return _PAIRS.sub(lambda pair: _TOGETHER[pair[0]], " ".join(words)).split()


def has(word: str, *roles: str) -> bool:
    """Whether a word has one of the roles."""
    return any(word in _ROLES[role] for role in roles)


def is_known(word: str) -> bool:
    return has(word, *_ROLES)


def refuse(words: Sequence[str], *roles: str) -> None:
    """Refuse words that deny, and those of the roles."""
    for word in words:
        if word.endswith("n't") or has(word, "denies", *roles):
            raise Refused(f"{word!r} denies, leaves open or changes the answer")


def refuse_retraction(after: str, answer: str) -> None:
    """Refuse an answer when a sentence after it takes it back.

    `Wait, I forgot one.`, `Correction: the total is 108.`, `This answer is wrong.`; but not `Wait,
    let me check: 3 + 4 = 7. Yes.` nor `This shows why the other one is wrong.`
    """
    for sentence in re.split(r"(?<=[.!?])\s+|\n+", after)[1:]:
        words = words_of(sentence)
        opened = bool(words) and has(words[0], "retracts")
        numbers = re.findall(r"\d+", sentence)
        if opened and numbers and numbers[-1] not in answer:
            raise Refused(f"{sentence[:40]!r} gives another answer")
        while words and (has(words[0], "retracts") or words[0] in ("unfortunately", "but", "so")):
            opened, words = True, words[1:]
        about = words[:1] in (["that"], ["this"], ["it"], ["the"], ["my"])
        noun = about and words[1:2] and has(words[1], "refers")
        verb = next((place for place, word in enumerate(words[:5]) if word in ("is", "was")), 0)
        said = words[verb + 1 : verb + 2] if (noun or verb == 1) and about else []
        if opened and not about:
            said = words[:3]
        revoked = bool(words) and has(words[0], "revokes")
        if revoked or any(has(word, "errs") for word in said):
            raise Refused(f"{sentence[:40]!r} takes the answer back")


def check_introduction(text: str, *, adjacent: bool = True) -> bool:
    """Accept `so the number of red balls is` before an answer; anything unknown is not read.

    adjacent: the answer follows at once, and no equals sign

    Returns whether the words end in a phrase, as `the number of red balls` does.
    """
    words = words_of(text)
    named = inside = False
    for place, word in enumerate(words):
        refuse([word], "computes")
        if has(word, "states"):
            if {"a", "an"} & set(words[: max(place - 1, 0)]):
                raise Unread("one of several: a possible value is")
            inside = False
        elif named and has(word, "opens"):
            inside = True
        elif has(word, "heads") or _is_letter(word):
            named = True
        elif has(word, "divides") or not (inside or has(word, "leads", "grades")):
            raise Unread(f"{word!r} is unknown before an answer")
    measured = words[-1:] == ["of"] and has(words[-2], "measures")
    unfinished = inside or (words and (has(words[-1], "grades") or _is_letter(words[-1])))
    if adjacent and unfinished and not measured:
        raise Unread(f"{words[-1]!r} before an answer")
    return inside


def _is_letter(word: str) -> bool:
    return len(word) == 1 and word not in ("a", "i")


def check_condition(text: str) -> None:
    """Accept `all real` after `for`, `is an integer` after `where k`."""
    words = words_of(text)
    refuse(words)
    for word in words:
        if not has(word, "limited") and not _is_letter(word):
            raise Unread(f"{word!r} is unknown in a condition")


def check_label(text: str, *, one: bool = False, counted: bool = False) -> None:
    """Accept `duck eggs`, `more than Jane`, `students in the class` after a number.

    one: the number is 1, so that the name of what is counted need not be a plural
    counted: a unit is before these words
    """
    words = words_of(text)
    named = label_size(words, one=one)
    refuse(words)
    refuse(words[: named + 1], "computes")
    counted = counted or named > 0
    for place in range(named, len(words)):
        word, rest = words[place], words[place + 1 :]
        if word == "as" or (word == "is" and rest[:1] == ["the"]):
            check_introduction(" ".join(rest), adjacent=False)
            return
        if rest and has(word, "opens" if counted else "rates"):
            # any words after a preposition but conjunctions, and numbers that are not spans
            unfit = [
                after
                for before, after in pairwise([word, *rest])
                if (has(after, "numbers") and not has(before, "spans"))
                or has(after, "divides")
                or _is_letter(after)
            ]
            if unfit:
                raise Unread(f"{unfit[0]!r} after a number")
            return
        older = counted and word.endswith("er") and not has(word, "divides")
        if not older and not has(word, "closes"):
            raise Unread(f"{word!r} is unknown after a number")
        counted = True


def label_size(words: Sequence[str], *, one: bool = False) -> int:
    """How many words name what a number counts: up to the last plural before a known word."""
    size = 0
    for place, word in enumerate(words[:_LONGEST_LABEL]):
        if not word.isascii() or has(word, *_STRUCTURE):
            break
        plural = len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is"))
        if one or plural or word.endswith(_PLURALS):
            size = place + 1
    return size


def states_a_number(text: str, *, emphasised: bool = False) -> bool:
    """Whether the words before a number in a sentence state it: they end in a known verb.

    emphasised: the number is what the sentence has in bold, so an unknown word states it too, where
        it must be a verb by its ending or after `will` and the like
    """
    words = words_of(text)
    while words and not (
        has(words[-1], "states", "heads") or any(has(stem, "verbs") for stem in _stems(words[-1]))
    ):
        word = words.pop()
        if emphasised and words and not is_known(word):
            inflected = len(word) > 4 and word.endswith(("s", "ed")) and not word.endswith("ss")
            after_modal = has(words[-1], "modals") and not word.endswith("ly")
            after_pronoun = words[-1] in ("they", "we", "i", "you")
            return (inflected and not has(words[-1], "opens")) or after_modal or after_pronoun
        if word == "of" or (word == "at" and words):
            return bool(words) and has(words[-1], "measures", "states")
        if not has(word, "leads", "particles") or (has(word, "particles") and not words):
            return False
    return True


def may_change(text: str) -> bool:
    """Whether a word of the text, in any inflection, may deny or change a number."""
    roles = ("denies", "divides", "computes", "alters")
    return any(has(stem, *roles) for word in words_of(text) for stem in _stems(word))


def _stems(word: str) -> list[str]:
    """The word, and what it may be inflected from: `measur` and `measure` for `measured`."""
    ends = ("", "s", "es", "ed", "d", "ing")
    stems = [word.removesuffix(end) for end in ends if word.endswith(end)]
    stems += [stem[:-1] + "y" for stem in stems if stem.endswith("i")]
    return [*stems, *(stem + "e" for stem in stems)]
