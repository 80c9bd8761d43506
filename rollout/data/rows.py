"""Table lines to checked rows: which column is what, and is every cell usable.

A prompt is a string, or messages as chat data sets have them:
`[{"role": "system", "content": "..."}, {"role": "user", "content": "..."}]`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from recipes.errors import Fault, RecipeError
from recipes.slots.registry import did_you_mean
from recipes.slots.spec import JSON, Spec
from rewards.types import Message
from rollout.data.tables import Line, refuse
from rollout.types import Row

ROLES = ("system", "user", "assistant", "tool")


class Columns(Spec):
    """Which column holds what; the other columns stay with the problem, under their names.

    A field inside a column is named with a dot, `reward_model.ground_truth`; its column stays.
    """

    prompt: Annotated[
        str, Field(min_length=1, description="Column of the prompt, text or a list of messages")
    ] = "prompt"
    answer: Annotated[
        str, Field(description="Column of the gold answer, a text, number or list; '' = none")
    ] = "answer"
    id: Annotated[
        str,
        Field(
            description="Column of a unique, stable id; row numbers if the data has no column `id`"
        ),
    ] = "id"
    verifier: Annotated[
        str,
        Field(description="Column with the name of the row's verifier, for `by_row`; '' = none"),
    ] = ""


def to_rows(lines: Sequence[Line], columns: Columns, *, name: str) -> list[Row]:
    """Every line as a Row. Raises RecipeError with up to ten faults, each with its file and line.

    name: of the data, in front of the row number where the rows have no id
    """
    has_ids = _check_columns(lines, columns, name)
    faults: list[Fault] = []
    rows: list[Row] = []
    for line in lines:
        prompt = _prompt(line, columns.prompt)
        answer = _answer(line, columns.answer) if columns.answer else ""
        label: JSON = line.get(columns.id) if has_ids else f"{name}-{line.number}"
        if not isinstance(label, str | int) or isinstance(label, bool) or not str(label).strip():
            label = Fault(
                where=line.where,
                what=f"column '{columns.id}' holds {label!r:.80}, expected an id",
                fix="give every row an id, or name no id column",
            )
        judge: JSON = line.get(columns.verifier) if columns.verifier else ""
        if judge is not None and not isinstance(judge, str):
            judge = Fault(
                where=line.where,
                what=f"column '{columns.verifier}' holds {judge!r:.80}, expected the name of a "
                "verifier",
                fix="write the name as a string, or nothing where the recipe has one for all "
                "other rows",
            )
        wrong = [cell for cell in (prompt, answer, label, judge) if isinstance(cell, Fault)]
        faults += wrong
        if wrong:
            continue
        assert not isinstance(prompt, Fault)
        taken = {columns.prompt, columns.answer, columns.id if has_ids else "", columns.verifier}
        rest = {key: value for key, value in line.values.items() if key not in taken}
        rows.append(
            Row(
                id=str(label),
                prompt=prompt,
                answer=str(answer),
                verifier=(judge or "").strip(),
                where=line.where,
                columns=rest,
            )
        )
    refuse(faults)
    return rows


def drop_rows(lines: Sequence[Line], where: Mapping[str, Sequence[JSON]]) -> list[Line]:
    """The lines left when those with a listed value in a named column are taken out."""
    for column in where:
        fault = unknown_column(lines, column, path=f"drop_where.{column}", name="the data")
        refuse([fault] if fault else [])
    left = [
        line
        for line in lines
        if not any(line.get(column) in values for column, values in where.items())
    ]
    if not left:
        raise RecipeError.of(
            "drop_where drops every row", path="drop_where", fix="drop fewer values"
        )
    return left


def _check_columns(lines: Sequence[Line], columns: Columns, name: str) -> bool:
    """Refuse a column that no line has; returns whether the lines have ids."""
    say = "name the column of the {part}, `columns: {{{part}: ...}}` "
    wanted = [
        ("prompt", columns.prompt, say.format(part="prompt")),
        ("answer", columns.answer, say.format(part="answer")),
        ("verifier", columns.verifier, ""),
    ]
    if columns.id != Columns.model_fields["id"].default:
        wanted.append(("id", columns.id, ""))
    faults = [
        unknown_column(lines, column, path=f"columns.{part}", name=name, advice=advice)
        for part, column, advice in wanted
        if column
    ]
    refuse([fault for fault in faults if fault is not None])
    return any(not line.lacks(columns.id) for line in lines)


def unknown_column(
    lines: Sequence[Line], column: str, *, path: str, name: str, advice: str = ""
) -> Fault | None:
    """The fault of a column or field that no line has; that of a field names the first line."""
    if any(not line.lacks(column) for line in lines):
        return None
    known = list(dict.fromkeys(key for line in lines for key in line.values))
    outer = column.partition(".")[0]
    for line in lines:
        if outer in line.values:
            fix = "correct the name; `column.field` reads a field inside a column"
            return Fault(where=line.where, path=path, what=line.lacks(column), fix=fix)
    return Fault(
        path=path,
        what=f"{name} has no column '{outer}'",
        fix=f"{did_you_mean(outer, known)}{advice}(columns: {', '.join(known)})",
    )


def _prompt(line: Line, column: str) -> str | tuple[Message, ...] | Fault:
    value = line.get(column)
    if isinstance(value, str):
        return value if value.strip() else _empty(line, column, "a prompt")
    if value is None or value == []:
        return _empty(line, column, "a prompt")
    if not isinstance(value, list):
        return Fault(
            where=line.where,
            what=f"column '{column}' holds {value!r:.80}, expected text or a list of messages",
            fix="write the prompt as a string",
        )
    messages = messages_of(line, column, value)
    if not isinstance(messages, Fault) and messages[-1].role == "assistant":
        return Fault(
            where=line.where,
            what=f"the last message of column '{column}' is the assistant's",
            fix="a prompt ends where the assistant is to speak: leave the reply out",
        )
    return messages


def messages_of(line: Line, column: str, entries: Sequence[JSON]) -> tuple[Message, ...] | Fault:
    """The messages of a cell that is a list, in the form of chat data sets."""
    messages: list[Message] = []
    for number, entry in enumerate(entries):
        known = isinstance(entry, Mapping) and entry.get("role") in ROLES
        content = entry.get("content") if known else None
        if not isinstance(content, str):
            return Fault(
                where=line.where,
                what=f"message {number} of column '{column}' is {entry!r:.80}",
                fix=f"expected role (one of {', '.join(ROLES)}) and content, both text",
            )
        messages.append(Message(role=entry["role"], content=content))
    return tuple(messages)


def _answer(line: Line, column: str) -> str | Fault:
    value = line.get(column)
    if value is None or (isinstance(value, str) and not value.strip()):
        return _empty(line, column, "an answer")
    answers = value if isinstance(value, list) else [value]
    usable = all(
        (isinstance(answer, str) and answer.strip() != "")
        or (
            isinstance(answer, int | float)
            and not isinstance(answer, bool)
            and math.isfinite(answer)
        )
        for answer in answers
    )
    if answers and usable:
        return ", ".join(str(answer) for answer in answers)
    return Fault(
        where=line.where,
        what=f"column '{column}' holds {value!r:.80}, expected text or a number",
        fix="write the gold answer as a string",
    )


def _empty(line: Line, column: str, needed: str) -> Fault:
    what = line.lacks(column) or f"column '{column}' is empty"
    return Fault(where=line.where, what=what, fix=f"every row needs {needed}")
