"""One number for a conversation from a vLLM pooling server (`/classify` or `/pooling`)."""

from collections.abc import Sequence

from recipes.slots.spec import JSON
from rewards.http.endpoint import Endpoint, EndpointFailed, EndpointSpec
from rewards.http.event_loop import background


async def pooled_score(
    endpoint: EndpointSpec, route: str, messages: Sequence[dict[str, str]], *, meter: str
) -> float:
    """The raw output of a model with one label; raises EndpointFailed.

    `/classify` wants a model served with one label. `/pooling` also serves models that give a
    number for each step or token; the last one counts.
    """
    return await background().run(_asked(endpoint, route, messages, meter))


async def _asked(
    endpoint: EndpointSpec, route: str, messages: Sequence[dict[str, str]], meter: str
) -> float:
    body = {"model": endpoint.model, "messages": list(messages), "use_activation": False}
    raw = await Endpoint.of(endpoint).post(f"/{route}", body, meter=meter)
    try:
        [entry] = raw["data"]
        numbers: JSON = entry["probs"] if route == "classify" else entry["data"]
        while isinstance(numbers[-1], list):
            numbers = numbers[-1]
        [number] = numbers
        return float(number)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise EndpointFailed(
            f"{endpoint.url}/{route}: a reply without one number for the conversation "
            f"({type(error).__name__}: {error}); is it a reward model with one label?"
        ) from error
