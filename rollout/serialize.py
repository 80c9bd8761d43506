"""Groups and problems as plain data for a checkpoint, exact to the bit, without pickle.

Arrays become base64 text with their type. A row's columns keep their tuples and their keys that
are not strings, because some task generators compare by type.
"""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from recipes.slots.spec import JSON
from rewards.types import Message, Problem, Scored, Verdict
from rollout.types import Group, Sample, Status

_TUPLE, _PAIRS = "__tuple__", "__pairs__"


def group_to_dict(group: Group) -> dict[str, JSON]:
    """The group as JSON values; `group_from_dict` gives it back equal."""
    return {
        "group_id": group.group_id,
        "problem": problem_to_dict(group.problem),
        "samples": [
            {
                "token_ids": _array_to_dict(sample.token_ids),
                "action_mask": _array_to_dict(sample.action_mask),
                "behavior_logprobs": _array_to_dict(sample.behavior_logprobs),
                "policy_version": _array_to_dict(sample.policy_version),
                "turn_ids": _array_to_dict(sample.turn_ids),
                "role": sample.role,
                "verdict": {
                    "status": sample.verdict.status.value,
                    "reward": float(sample.verdict.reward),
                    "correct": bool(sample.verdict.correct),
                    "parts": {
                        name: float(value) for name, value in sample.verdict.components.items()
                    },
                    "reason": sample.verdict.reason,
                    "answer": sample.verdict.answer,
                    "verifier": sample.verdict.verifier,
                },
                "answer": sample.answer,
                "status": int(sample.status),
                "index": sample.index,
            }
            for sample in group.samples
        ],
    }


def group_from_dict(state: Mapping[str, JSON]) -> Group:
    """What `group_to_dict` wrote."""
    samples: list[Sample] = []
    for sample in state["samples"]:
        verdict = {**sample["verdict"], "status": Scored(sample["verdict"]["status"])}
        verdict["components"] = verdict.pop("parts")  # the file format keeps its first name
        samples.append(
            Sample(
                token_ids=_array_from_dict(sample["token_ids"]),
                action_mask=_array_from_dict(sample["action_mask"]),
                behavior_logprobs=_array_from_dict(sample["behavior_logprobs"]),
                policy_version=_array_from_dict(sample["policy_version"]),
                turn_ids=_array_from_dict(sample["turn_ids"]),
                role=sample["role"],
                verdict=Verdict(**verdict),
                answer=sample["answer"],
                status=Status(sample["status"]),
                index=sample["index"],
            )
        )
    return Group(
        group_id=state["group_id"],
        problem=problem_from_dict(state["problem"]),
        samples=tuple(samples),
    )


def problem_to_dict(problem: Problem) -> dict[str, JSON]:
    """The whole problem, so that a resume does not depend on the order of the data."""
    return {
        "id": problem.id,
        "messages": [[message.role, message.content] for message in problem.messages],
        "answer": problem.answer,
        "verifier": problem.verifier,
        "tags": sorted(problem.tags),
        "columns": _tag({str(name): value for name, value in problem.columns.items()}),
    }


def problem_from_dict(state: Mapping[str, JSON]) -> Problem:
    """What `problem_to_dict` wrote."""
    return Problem(
        id=state["id"],
        messages=tuple(Message(role=role, content=content) for role, content in state["messages"]),
        answer=state["answer"],
        verifier=state["verifier"],
        tags=frozenset(state["tags"]),
        columns=_untag(state["columns"]),
    )


def _array_to_dict(array: npt.NDArray[np.generic]) -> dict[str, str]:
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return {"dtype": little.dtype.str, "base64": base64.b64encode(little.tobytes()).decode()}


def _array_from_dict(state: Mapping[str, str]) -> npt.NDArray[Any]:
    data = np.frombuffer(base64.b64decode(state["base64"]), dtype=np.dtype(state["dtype"]))
    return data.astype(data.dtype.newbyteorder("="))  # also makes it own its memory


def _tag(value: object) -> JSON:
    """JSON for a column's value; tuples and odd keys are marked, anything else is our defect."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list):
        return [_tag(item) for item in value]
    if isinstance(value, tuple):
        return {_TUPLE: [_tag(item) for item in value]}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value) and not {_TUPLE, _PAIRS} & set(value):
            return {key: _tag(item) for key, item in value.items()}
        return {_PAIRS: [[_tag(key), _tag(item)] for key, item in value.items()]}
    raise AssertionError(f"a problem's column holds {type(value).__name__}; sources refuse these")


def _untag(value: JSON) -> JSON:
    if isinstance(value, list):
        return [_untag(item) for item in value]
    if isinstance(value, Mapping):
        if set(value) == {_TUPLE}:
            return tuple(_untag(item) for item in value[_TUPLE])
        if set(value) == {_PAIRS}:
            return {_untag(key): _untag(item) for key, item in value[_PAIRS]}
        return {key: _untag(item) for key, item in value.items()}
    return value
