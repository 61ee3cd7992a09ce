"""Scenes of coloured shapes, whose captions, questions and places are known."""

from typing import Any, NamedTuple

import numpy as np

SIZE = 64  # pixels
COLORS = {
    "red": (220, 40, 40),
    "green": (40, 160, 60),
    "blue": (40, 80, 220),
    "yellow": (230, 200, 40),
    "purple": (150, 60, 180),
}
SHAPES = ("circle", "square", "triangle")


class Thing(NamedTuple):
    """A shape in a scene: centre and half of its size in pixels."""

    shape: str
    color: str
    x: float
    y: float
    radius: float

    @property
    def name(self) -> str:
        return f"{self.color} {self.shape}"

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom."""
        return (
            self.x - self.radius,
            self.y - self.radius,
            self.x + self.radius,
            self.y + self.radius,
        )


class Scene(NamedTuple):
    """An image, uint8 `(64, 64, 3)`, and what is in it."""

    image: np.ndarray
    things: list[Thing]


def sample(rng: np.random.Generator, number: int | None = None) -> Scene:
    """Draws a scene of `number` different things, by default one to three."""
    number = int(rng.integers(1, 4)) if number is None else number
    names = rng.permutation(len(COLORS) * len(SHAPES))[:number]
    things: list[Thing] = []
    while len(things) < number:
        radius = rng.uniform(7, 11)
        x, y = rng.uniform(radius + 1, SIZE - radius - 1, 2)
        if all(max(abs(x - t.x), abs(y - t.y)) > radius + t.radius for t in things):
            color, shape = divmod(int(names[len(things)]), len(SHAPES))
            things.append(Thing(SHAPES[shape], list(COLORS)[color], x, y, radius))
    return Scene(draw(things, rng), things)


def draw(things: list[Thing], rng: np.random.Generator) -> np.ndarray:
    """The image of things, on a grey ground with a little noise."""
    image = np.full((SIZE, SIZE, 3), rng.uniform(180, 250))
    image += rng.normal(scale=6, size=image.shape)
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5
    for thing in things:
        x, y = (columns - thing.x) / thing.radius, (rows - thing.y) / thing.radius
        inside = {
            "circle": x**2 + y**2 <= 1,
            "square": np.maximum(abs(x), abs(y)) <= 0.9,
            "triangle": (y <= 0.9) & (2 * abs(x) - 0.9 <= y),
        }[thing.shape]
        image[inside] = COLORS[thing.color] + rng.normal(scale=8, size=3)
    return np.clip(image, 0, 255).astype("uint8")


def caption(
    scene: Scene, rng: np.random.Generator
) -> tuple[list[str], list[Thing | None]]:
    """Words that describe the scene, and for each word the thing it names, if any.

    Two things are told with a relation that holds, three are listed.
    """
    order = [scene.things[i] for i in rng.permutation(len(scene.things))]
    words: list[str] = []
    named: list[Thing | None] = []
    for place, thing in enumerate(order):
        if place and len(order) == 2:
            link = _relation(order[0], thing).split()
        else:
            link = ["and"] if place else []
        words += [*link, "a", thing.color, thing.shape]
        named += [*(None for _ in link), None, thing, thing]
    return words, named


def _relation(first: Thing, second: Thing) -> str:
    """How the first lies to the second, along the axis on which they differ more."""
    across, down = second.x - first.x, second.y - first.y
    if abs(across) > abs(down):
        return "left of" if across > 0 else "right of"
    return "above" if down > 0 else "below"


def question(scene: Scene, rng: np.random.Generator) -> tuple[str, str, str]:
    """A question that has one answer, the answer, and the kind of the question."""
    things = scene.things
    makers: list[Any] = [_how_many, _is_there]
    shapes = [thing.shape for thing in things]
    colors = [thing.color for thing in things]
    if any(shapes.count(shape) == 1 for shape in shapes):
        makers.append(_what_color)
    if any(colors.count(color) == 1 for color in colors):
        makers.append(_what_shape)
    if len(things) == 2:
        makers.append(_what_is)
    return makers[rng.integers(len(makers))](things, rng)


def _how_many(things, rng):
    return (
        "how many things are there",
        ("one", "two", "three")[len(things) - 1],
        "count",
    )


def _is_there(things, rng):
    names = {thing.name for thing in things}
    name = f"{rng.choice(list(COLORS))} {rng.choice(SHAPES)}"
    if rng.random() < 0.5:
        name = things[rng.integers(len(things))].name
    return f"is there a {name}", "yes" if name in names else "no", "exists"


def _what_color(things, rng):
    thing = _only(things, "shape", rng)
    return f"what color is the {thing.shape}", thing.color, "color"


def _what_shape(things, rng):
    thing = _only(things, "color", rng)
    return f"what shape is {thing.color}", thing.shape, "shape"


def _what_is(things, rng):
    """Of two things, one lies somewhere to the other, or nothing does."""
    first, second = (things[i] for i in rng.permutation(2))
    relation = _relation(first, second)
    opposite = {"left of": "right of", "above": "below"}
    opposite |= {b: a for a, b in opposite.items()}
    if rng.random() < 0.3:
        return f"what is {opposite[relation]} the {second.name}", "nothing", "relation"
    return f"what is {relation} the {second.name}", first.name, "relation"


def _only(things, attribute, rng):
    """A thing that no other shares the attribute with."""
    values = [getattr(thing, attribute) for thing in things]
    alone = [t for t, v in zip(things, values, strict=True) if values.count(v) == 1]
    return alone[rng.integers(len(alone))]
