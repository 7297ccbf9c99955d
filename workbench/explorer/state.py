"""What a panel holds: a model, vectors with their switches, and how they act. Knows no widget."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from workbench.models.hooked import HookedModel, dtype_of, n_layers
from workbench.models.identity import facts_of
from workbench.models.text import chat
from workbench.steering import Ablate, Add, Clamp, Positions, SteeringVector, VectorSet
from workbench.steering.interventions import Intervention

KINDS = ("add", "clamp", "ablate")
POSITIONS: dict[str, tuple[Positions, str]] = {
    "all": (Positions.all(), "wb.Positions.all()"),
    "prompt": (Positions.prompt(), "wb.Positions.prompt()"),
    "completion": (Positions.completion(), "wb.Positions.completion()"),
    "last prompt token": (Positions.last(), "wb.Positions.last()"),
}
OWN_LAYER = "its own"


@dataclass(eq=False)
class Entry:
    """A vector in the list: whether it acts, and how strongly."""

    vector: SteeringVector
    on: bool = True
    scale: float | int = 1.0


@dataclass(eq=False)
class State:
    """Everything that a panel's answers depend on. `changed` are told when something has."""

    model: HookedModel
    entries: list[Entry] = field(default_factory=list)
    prompt: str = ""
    chat: bool = True
    kind: str = "add"
    positions: str = "all"
    layer: int | str = OWN_LAYER
    tokens: int = 48
    temperature: float | int = 0.0
    seed: int = 0
    saved_in: Path | None = None
    changed: list[Callable[[], None]] = field(default_factory=list)

    def tell(self) -> None:
        """Say that something has changed."""
        for each in list(self.changed):
            each()

    def add(self, vector: SteeringVector) -> Entry:
        """Put a vector into the list. Raises ValueError for one that does not fit the model."""
        vector.check_model(self.model)
        taken = {entry.vector.label for entry in self.entries}
        label = vector.label or f"vector {len(self.entries) + 1}"
        number, name = 2, label
        while name in taken:
            name, number = f"{label} ({number})", number + 1
        entry = Entry(vector.labelled(name))
        self.entries.append(entry)
        self.saved_in = None
        return entry

    @property
    def vectors(self) -> list[SteeringVector]:
        """All of them, on or off."""
        return [entry.vector for entry in self.entries]

    def text(self) -> str:
        """The prompt as the model reads it. Raises ValueError for an empty one."""
        if not self.prompt.strip():
            raise ValueError("the prompt is empty: type something for the model to read")
        return chat(self.model, self.prompt) if self.chat else self.prompt

    def steering(self) -> list[Intervention]:
        """What the vectors that are on do. Raises ValueError for a layer that is not there."""
        positions = POSITIONS[self.positions][0]
        made: list[Intervention] = []
        for entry in self.entries:
            if not entry.on:
                continue
            vector = self._placed(entry.vector)
            if self.kind == "add":
                made.append(Add(vector, entry.scale, positions))
            elif self.kind == "clamp":
                made.append(Clamp(vector, entry.scale, positions))
            else:
                made.append(Ablate(vector, positions=positions))
        for one in made:
            one.edits(self.model)  # what does not fit is said now
        return made

    def save(self, folder: str | Path) -> Path:
        """Write all vectors to a folder. Raises ValueError where there are none."""
        if not self.entries:
            raise ValueError("there are no vectors to save")
        VectorSet(self.vectors).save(folder)
        self.saved_in = Path(folder)
        return self.saved_in

    def load(self, vectors: Iterable[SteeringVector]) -> None:
        """Add vectors that were read from files."""
        for vector in vectors:
            self.add(vector)

    def code(self) -> str:
        """Python that does what the panel does now."""
        loaded = repr(facts_of(self.model).name)
        dtype = str(dtype_of(self.model)).removeprefix("torch.")
        if dtype != "float32":
            loaded += f", dtype={dtype!r}"
        asked = f"wb.chat(model, {self.prompt!r})" if self.chat else repr(self.prompt)
        folder = self.saved_in or Path("vectors")
        lines = [
            "import workbench as wb",
            "",
            f"model = wb.load_model({loaded})",
            f"prompt = {asked}",
        ]
        on = [entry for entry in self.entries if entry.on]
        if on:
            if self.saved_in is None:
                lines.append(f"# Save the panel's vectors to {str(folder)!r} first.")
            lines.append(f"saved = {{v.label: v for v in wb.VectorSet.load({str(folder)!r})}}")
        if on and self.layer != OWN_LAYER:
            lines.insert(0, "import dataclasses")
            lines.insert(1, "")
        lines.append("steering = [")
        lines += [f"    {self._call(entry)}," for entry in on]
        lines.append("]")
        options = f"max_new_tokens={self.tokens}"
        if self.temperature:
            options += f", temperature={self.temperature:g}, seed={self.seed}"
        lines.append(f"print(wb.generate(model, [prompt], {options})[0])")
        lines.append(f"print(wb.generate(model, [prompt], steering, {options})[0])")
        return "\n".join(lines) + "\n"

    def _call(self, entry: Entry) -> str:
        vector = f"saved[{entry.vector.label!r}]"
        if self.layer != OWN_LAYER:
            vector = f"dataclasses.replace({vector}, layer={self.layer})"
        where = POSITIONS[self.positions][1]
        if self.kind == "ablate":
            return f"wb.Ablate({vector}, positions={where})"
        name = "Add" if self.kind == "add" else "Clamp"
        return f"wb.{name}({vector}, {entry.scale:g}, {where})"

    def _placed(self, vector: SteeringVector) -> SteeringVector:
        if self.layer == OWN_LAYER:
            return vector
        return replace(vector, layer=int(self.layer))

    @property
    def layers(self) -> list[int]:
        """The model's layers."""
        return list(range(n_layers(self.model)))
