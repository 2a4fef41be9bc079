"""The drawing of the packages: their declared order, the first line of each docstring, and their imports."""

import textwrap
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from _generate.drawing import LINE_PX, Arrow, Box, Colour, Text, drawing, height_of
from _generate.reference_tables import about_module
from unit.test_layers import MODULES, ORDER, PACKAGE, inner_imports_of, name_of

COLUMN_PX, GAP_PX, MARGIN_PX, RISE_PX = 232.0, 28.0, 12.0, 26.0
COLUMN_CHARACTERS = 31
"""Characters of a line in a box."""


def package_drawing() -> str:
    """Return the drawing of the packages, each below the packages that it imports."""
    modules = [name for name in ORDER if not (PACKAGE / name).is_dir()]
    packages = [name for name in ORDER if name not in modules]
    imports = {name: found & set(packages) for name, found in direct_imports().items() if name in packages}
    needed = without_implied(imports)
    levels = _levels(needed)
    columns = _columns(packages, needed, levels)
    about = {name: about_module(name).replace("``", "") for name in packages}
    lines = {name: textwrap.wrap(about[name], COLUMN_CHARACTERS) for name in packages}
    width = 2 * MARGIN_PX + COLUMN_PX * (max(columns.values()) + 1) + GAP_PX * max(columns.values())

    wide = int(COLUMN_CHARACTERS * width / COLUMN_PX)
    ground = Box(
        MARGIN_PX,
        MARGIN_PX,
        width - 2 * MARGIN_PX,
        "modules that every package may import",
        textwrap.wrap(", ".join(modules), wide),
        "store",
    )
    y = ground.y + ground.height + RISE_PX
    boxes: dict[str, Box] = {}
    for level in range(max(levels.values()) + 1):
        row = [name for name in packages if levels[name] == level]
        height = height_of(max(len(lines[name]) for name in row))
        for name in row:
            x = MARGIN_PX + columns[name] * (COLUMN_PX + GAP_PX)
            colour: Colour = "learn" if name == "learning" else "kafka" if name == "streaming" else "plain"
            boxes[name] = Box(x, y, COLUMN_PX, f"{name}/", lines[name], colour, height)
        y += height + RISE_PX
    last = packages[-1]
    boxes[last] = Box(MARGIN_PX, boxes[last].y, ground.width, f"{last}/", textwrap.wrap(about[last], wide))
    end = boxes[last].y + boxes[last].height
    caption = "An arrow leads from a package to a package that it imports; imports that others imply are left out."
    return drawing(
        "The packages of online_lstm",
        "From top to bottom: "
        + "; ".join(f"{name} imports {', '.join(sorted(imports[name])) or 'no other package'}" for name in packages)
        + ".",
        (width, end + LINE_PX + 2 * MARGIN_PX),
        [
            *(_arrow(boxes[name], boxes[other]) for name in packages for other in sorted(needed[name])),
            ground,
            *boxes.values(),
            Text((MARGIN_PX, end + LINE_PX + MARGIN_PX), caption),
        ],
    )


def direct_imports() -> Mapping[str, AbstractSet[str]]:
    """Return, for each module or package below ``online_lstm``, those that it imports from."""
    found: dict[str, set[str]] = {name: set() for name in ORDER}
    for path in MODULES:
        name = name_of(path)
        if name in found:
            found[name] |= {other.partition(".")[0] for other in inner_imports_of(path)} - {name}
    return found


def without_implied(imports: Mapping[str, AbstractSet[str]]) -> Mapping[str, AbstractSet[str]]:
    """Return the imports without those that others imply: the transitive reduction of a graph without circles."""

    def reached(name: str) -> set[str]:
        return set(imports[name]).union(*(reached(other) for other in imports[name]))

    return {
        name: {other for other in others if not any(other in reached(third) for third in others)}
        for name, others in imports.items()
    }


def _levels(imports: Mapping[str, AbstractSet[str]]) -> Mapping[str, int]:
    """Return the row of each package: below all that it imports, and, if it imports nothing, close to its users."""
    levels: dict[str, int] = {}
    for name, others in imports.items():
        levels[name] = max((levels[other] + 1 for other in others), default=0)
    for name, others in imports.items():
        users = [levels[user] for user, needed in imports.items() if name in needed]
        if not others and users:
            levels[name] = min(users) - 1
    return levels


def _columns(
    packages: Sequence[str], imports: Mapping[str, AbstractSet[str]], levels: Mapping[str, int]
) -> Mapping[str, int]:
    """Return the column of each package: below an imported package, or where no later arrow needs the way up."""
    columns: dict[str, int] = {}
    last: list[str] = []
    for index, name in enumerate(packages):
        needed_later = set().union(*(imports[later] for later in packages[index:]))
        below_import = [column for column, above in enumerate(last) if above in imports[name]]
        free = [
            column for column, above in enumerate(last) if above not in needed_later and levels[above] < levels[name]
        ]
        column = next(iter(below_import + free), len(last))
        last[column : column + 1] = [name]
        columns[name] = column
    return columns


def _arrow(user: Box, imported: Box) -> Arrow:
    """Return an arrow straight up, or between two columns and then up to the imported package."""
    (x, y), (to_x, to_y) = user.top, imported.bottom
    shared_left, shared_right = max(user.x, imported.x), min(user.x + user.width, imported.x + imported.width)
    if shared_left < shared_right:
        middle = (shared_left + shared_right) / 2
        return Arrow([(middle, y), (middle, to_y)])
    side = 40 if to_x > x else -40
    bend = y - RISE_PX / 2
    return Arrow([(x + side, y), (x + side, bend), (to_x - side, bend), (to_x - side, to_y)])
