"""A prompt put to a judging model until its answer can be read."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from recipes.slots.spec import JSON, Count, NotHashed, Signed
from rewards.http.chat import AskSpec, Question, Reply, ask
from rewards.http.endpoint import EndpointSpec
from rewards.http.usage import meters
from rewards.judging.parse_reply import Unreadable
from rewards.judging.prompts import Prompt
from rewards.types import Problem

T = TypeVar("T")

ChatEndpoint = Annotated[
    EndpointSpec, Field(description="Address of the served model, with its key, limits and prices")
]
Drawing = Annotated[AskSpec, Field(description="Sampling settings of the judge")]
Form = Annotated[
    Literal["json_schema", "json_object", "words"],
    Field(
        description="Way of asking for JSON: a schema, any object, or "
        "only by the words of the prompt, for servers that know no response_format"
    ),
]
Attempts = Annotated[
    Count,
    Field(
        gt=0, description="Maximum number of answers, each with its own seed, until one is readable"
    ),
]
Criteria = Annotated[
    str, Field(description="Criteria of a good response, in your words; part of the prompt")
]
MaxChars = Annotated[
    Count,
    Field(
        ge=0, description="Maximum characters of each text shown, its middle cut out; 0 = unlimited"
    ),
]
Cache = Annotated[
    str,
    NotHashed(),
    Field(description="Folder of cached answers; '' = the run's own folder"),
]
Reference = Annotated[
    str,
    Field(description="Reference shown beside the response: answer, a column, or '' for none"),
]


Threshold = Annotated[Signed, Field(description="Reward from which a response counts as correct")]


def key_is_set(*, endpoint: EndpointSpec, **others: object) -> None:
    """Raise RecipeError, when a run begins, where the variable of the key is not set."""
    endpoint.refuse_without_key()


class NoAnswer(Exception):
    """Nothing that can be read as an answer, or nothing to ask about."""


@dataclass(frozen=True)
class Asking:
    """Where and how a verifier asks its model."""

    meter: str  # under which questions are counted
    endpoint: EndpointSpec
    sampling: AskSpec
    form: str
    attempts: int
    cache: str

    async def answer(
        self, prompt: Prompt, read: Callable[[Reply], T], *, logprobs: bool = False, vote: int = 0
    ) -> T:
        """What `read` makes of the first readable answer; raises NoAnswer or EndpointFailed."""
        question = Question(
            messages=prompt.messages,
            prompt=prompt.version,
            ask=self.sampling,
            response_format=_response_format(prompt, self.form),
            logprobs=logprobs,
        )
        fault = ""
        for attempt in range(self.attempts):
            numbered = dataclasses.replace(question, number=vote * self.attempts + attempt)
            reply = await ask(self.endpoint, numbered, meter=self.meter, cache=self.cache)
            try:
                return read(reply)
            except Unreadable as error:
                meters.add(f"{self.meter}/unreadable")
                fault = str(error)
        raise NoAnswer(
            f"{self.endpoint.model}: no readable answer in {self.attempts}; the last: {fault}"
        )


def _response_format(prompt: Prompt, form: str) -> JSON:
    if form == "words" or not prompt.schema:
        return None
    if form == "json_object":
        return {"type": "json_object"}
    schema = {"name": prompt.version.partition("/")[0], "strict": True, "schema": prompt.schema}
    return {"type": "json_schema", "json_schema": schema}


def reference_of(problem: Problem, name: str) -> str:
    """The gold answer for "answer", the text of a column, or nothing; raises NoAnswer."""
    if name in ("", "answer"):
        return problem.answer if name else ""
    text = problem.columns.get(name)
    if not isinstance(text, str) or not text:
        raise NoAnswer(f"the row has no text in column '{name}' to compare with")
    return text
