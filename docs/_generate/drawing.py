"""Boxes and arrows as SVG with a background of its own, readable on light and dark pages without a script or a font."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal, Protocol

Point = tuple[float, float]
Colour = Literal["plain", "learn", "kafka", "store", "frame", "transaction"]
ArrowColour = Literal["dark", "green"]

TITLE_PX = 20
LINE_PX = 16
PADDING_PX = 12
_STYLE = """\
    .paper { fill: #ffffff }
    .plain { fill: #f6f8fa; stroke: #57708f }
    .learn { fill: #e3eefc; stroke: #2a62b5 }
    .kafka { fill: #fdf3e1; stroke: #b07a1e }
    .store { fill: #e6f4ea; stroke: #3c8a57 }
    .frame { fill: none; stroke: #2a62b5; stroke-dasharray: 2 4 }
    .transaction { fill: none; stroke: #b07a1e; stroke-dasharray: 6 4 }
    .arrow { fill: none; stroke-width: 1.6; stroke-linejoin: round }
    .dark { stroke: #37424f } .green { stroke: #3c8a57 }
    .dark-head { fill: #37424f } .green-head { fill: #3c8a57 }
    text { fill: #1c2530 }
    .title { font-weight: 600 }
    .small { font-size: 12px; fill: #4a5563 }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #131416 }
      .plain { fill: #20262f; stroke: #7d9cc7 }
      .learn { fill: #1d3150; stroke: #78a9ec }
      .kafka { fill: #362a14; stroke: #d29b3c }
      .store { fill: #17321f; stroke: #63b880 }
      .frame { stroke: #78a9ec }
      .transaction { stroke: #d29b3c }
      .dark { stroke: #c3ccd6 } .green { stroke: #63b880 }
      .dark-head { fill: #c3ccd6 } .green-head { fill: #63b880 }
      text { fill: #e8ecf1 }
      .small { fill: #a9b4c0 }
    }"""
_HEAD = (
    '    <marker id="{colour}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
    '<path class="{colour}-head" d="M0 0L10 5L0 10z"/></marker>'
)


class Shape(Protocol):
    """A part of a drawing."""

    def svg(self) -> str:
        """Return the SVG elements of the shape."""


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text at a point, which is its left end, middle or right end."""

    at: Point
    text: str
    style: Literal["title", "small"] = "small"
    anchor: Literal["start", "middle", "end"] = "start"

    def svg(self) -> str:
        x, y = self.at
        return f'<text class="{self.style}" x="{x:g}" y="{y:g}" text-anchor="{self.anchor}">{escape(self.text)}</text>'


@dataclass(frozen=True, slots=True)
class Box:
    """A box with a title and lines below it; its height follows from them unless it is given."""

    x: float
    y: float
    width: float
    title: str
    lines: Sequence[str] = ()
    colour: Colour = "plain"
    given_height: float | None = None

    @property
    def height(self) -> float:
        return self.given_height or height_of(len(self.lines))

    @property
    def top(self) -> Point:
        return self.x + self.width / 2, self.y

    @property
    def bottom(self) -> Point:
        return self.x + self.width / 2, self.y + self.height

    @property
    def left(self) -> Point:
        return self.x, self.y + self.height / 2

    @property
    def right(self) -> Point:
        return self.x + self.width, self.y + self.height / 2

    def svg(self) -> str:
        text_x, text_y = self.x + PADDING_PX, self.y + PADDING_PX + 11
        texts = [Text((text_x, text_y), self.title, "title")]
        texts += [Text((text_x, text_y + TITLE_PX + LINE_PX * index), line) for index, line in enumerate(self.lines)]
        corner = f'x="{self.x:g}" y="{self.y:g}" width="{self.width:g}" height="{self.height:g}" rx="7"'
        return "\n  ".join([f'<rect class="{self.colour}" {corner}/>', *(text.svg() for text in texts)])


@dataclass(frozen=True, slots=True)
class Arrow:
    """Straight lines from point to point, with a head at the last one."""

    points: Sequence[Point]
    colour: ArrowColour = "dark"

    def svg(self) -> str:
        path = "M" + "L".join(f"{x:g} {y:g}" for x, y in self.points)
        return f'<path class="arrow {self.colour}" marker-end="url(#{self.colour})" d="{path}"/>'


def height_of(lines: int) -> float:
    """Return the height of a box with a title and a number of lines, in pixels."""
    return 2 * PADDING_PX + TITLE_PX + LINE_PX * lines - 4


def drawing(title: str, description: str, size: tuple[float, float], shapes: Iterable[Shape]) -> str:
    """Return a drawing as the text of an SVG file; later shapes cover earlier ones."""
    width, height = size
    heads = "\n".join(_HEAD.format(colour=colour) for colour in ("dark", "green"))
    body = "\n  ".join(shape.svg() for shape in shapes)
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" \
role="img" aria-labelledby="title what" font-family="system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', \
sans-serif" font-size="14">
  <title id="title">{escape(title)}</title>
  <desc id="what">{escape(description)}</desc>
  <style>
{_STYLE}
  </style>
  <defs>
{heads}
  </defs>
  <rect class="paper" width="{width:g}" height="{height:g}" rx="8"/>
  {body}
</svg>
"""
