"""A loaded tree as a typed section: pydantic's errors in the project's words, with their places."""

from typing import TypeVar, get_args

from pydantic import ValidationError

from recipes.errors import Fault, RecipeError, choose_from, shown
from recipes.loading.recipe_tree import Loaded, add_locations
from recipes.slots.options import option_path, renamed_fault
from recipes.slots.spec import Spec

S = TypeVar("S", bound=Spec)


def validate(root: type[S], loaded: Loaded) -> S:
    """The file as `root`; raises RecipeError with every fault, each with file, line and remedy."""
    try:
        return root.model_validate(loaded.tree)
    except ValidationError as error:
        raise add_locations(RecipeError(faults_of(error, root)), loaded) from None


def faults_of(error: ValidationError, root: type[Spec]) -> list[Fault]:
    """Place, fact and fix of everything that pydantic found."""
    faults: dict[str, Fault] = {}
    renamed: set[str] = set()  # settings that were given under an old name
    for problem in error.errors():
        path = option_path(problem["loc"])
        inner = (problem.get("ctx") or {}).get("error")
        if isinstance(inner, RecipeError):
            for fault in inner.faults:
                full = ".".join(part for part in (path, fault.path) if part)
                faults[full] = Fault(path=full, what=fault.what, fix=fault.fix)
        elif problem["type"] == "extra_forbidden":
            section, _, word = path.rpartition(".")
            model = model_of(section, root)
            if word in model.renamed:
                faults[path] = renamed_fault(path, model.renamed[word])
                renamed.add(f"{section}.{model.renamed[word]}".lstrip("."))
                continue
            known = sorted(model.model_fields)
            what = f"{section or 'the file'} has no such option"
            fix = choose_from(known, word, label="options")
            faults[path] = Fault(path=path, what=what, fix=fix)
        elif problem["type"] == "missing":
            faults[path] = Fault(path=path, what="this setting is required", fix="set it")
        elif path not in faults:
            faults[path] = Fault(
                path=path, what=f"{problem['msg']} (got {shown(problem['input'])})"
            )
    return [fault for path, fault in faults.items() if path not in renamed]


def model_of(section: str, root: type[Spec]) -> type[Spec]:
    """The model of the section at a dotted path below `root`; `root` itself for ''."""
    model: type[Spec] = root
    for key in [p for p in section.split(".") if p and not p.isdigit()]:
        annotation = model.model_fields[key].annotation
        parts = (annotation, *get_args(annotation))
        model = next((a for a in parts if isinstance(a, type) and issubclass(a, Spec)), Spec)
    return model
