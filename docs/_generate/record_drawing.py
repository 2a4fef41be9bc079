"""The drawing of the life of a record: from the input topic through the learner into one transaction."""

from itertools import pairwise

from _generate.drawing import Arrow, Box, Colour, Text, drawing, height_of

TEXTS = """\
input topic
one consumer group reads it;
each key of a partition is a stream

1  decode
text, JSON or a binary number
becomes an event of its stream

2  score
the pending prediction, the baselines
and the experts

3  fit
one step of the LSTM on the last
window; the other experts learn

4  predict
the mixture of the experts predicts
the next value

5  encode
the message and its headers;
extend the digest

output topic
evaluation of the last prediction,
next prediction

offsets of the group
with lineage, record count
and digest

dead-letter topic
the record, and the reason
in its headers

page, metrics, log
receive a report of each
committed batch

checkpoint
at intervals, at a stop and
at a revocation: a file with
the learned state and the
next offset

recovery
after a crash or a rebalance:
load the newest checkpoint,
replay to the committed offset
without publishing, and
compare the digests
"""
"""The title and the lines of each box."""
LEFT, MIDDLE, RIGHT = 12.0, 256.0, 532.0
SIDE_PX, MIDDLE_PX = 216.0, 248.0
STEP_PX = height_of(2)
PITCH_PX = STEP_PX + 24
"""From a step to the next one."""
_LINES = {title: lines for title, *lines in (block.splitlines() for block in TEXTS.split("\n\n"))}


def record_drawing() -> str:
    """Return the drawing of the life of a record."""
    topic = _step("input topic", 12, "kafka")
    decode = _step("1  decode", topic.y + PITCH_PX)
    score = _step("2  score", decode.y + PITCH_PX + 26, "learn")
    fit = _step("3  fit", score.y + PITCH_PX, "learn")
    predict = _step("4  predict", fit.y + PITCH_PX, "learn")
    encode = _step("5  encode", predict.y + PITCH_PX + 12)
    output = _step("output topic", encode.y + PITCH_PX + 14, "kafka")
    offsets = _box("offsets of the group", LEFT + 14, output.y, SIDE_PX - 14, "kafka")
    dead = _box("dead-letter topic", RIGHT, output.y, SIDE_PX - 14, "kafka")
    recovery = _box("recovery", LEFT, score.y - 30, SIDE_PX, "store")
    checkpoint = _box("checkpoint", LEFT + 34, predict.y - 40, SIDE_PX - 34, "store")
    observers = _box("page, metrics, log", RIGHT, predict.y - 40, SIDE_PX - 44, "plain")
    learner = Box(MIDDLE - 12, score.y - 30, MIDDLE_PX + 24, "", (), "frame", 2 * PITCH_PX + STEP_PX + 42)
    width = 2 * MIDDLE + MIDDLE_PX
    transaction = Box(LEFT, output.y - 14, width - 2 * LEFT, "", (), "transaction", STEP_PX + 48)
    end = transaction.bottom[1]

    steps = [topic, decode, score, fit, predict, encode, output]
    way_of_dead_letters = RIGHT + SIDE_PX - 30
    arrows = [
        *(Arrow([step.bottom, following.top]) for step, following in pairwise(steps)),
        Arrow([decode.right, (way_of_dead_letters, decode.right[1]), (way_of_dead_letters, dead.y)]),
        Arrow([encode.left, (offsets.top[0] + 40, encode.left[1]), (offsets.top[0] + 40, offsets.y)]),
        Arrow([(observers.bottom[0], transaction.y), observers.bottom]),
        Arrow([(learner.x, checkpoint.right[1]), checkpoint.right], "green"),
        Arrow([checkpoint.top, (checkpoint.top[0], recovery.bottom[1])], "green"),
        Arrow([(LEFT + 20, offsets.y), (LEFT + 20, recovery.bottom[1])], "green"),
        Arrow([recovery.right, (learner.x, recovery.right[1])], "green"),
    ]
    texts = [
        Text((MIDDLE, score.y - 11), "learner", "title"),
        Text((RIGHT + 8, decode.right[1] - 8), "not decodable: a dead letter"),
        Text((offsets.x, end - 13), "6  commit: one transaction for each batch", "title"),
    ]
    return drawing(
        "The life of a record",
        "Records of the input topic are decoded, scored, learned and predicted by the learner of their partition. One "
        "transaction commits outputs, dead letters and offsets. Checkpoints hold the learned state; after a crash or a "
        "rebalance the daemon loads the newest one and replays the records up to the committed offset.",
        (width, end + LEFT),
        [transaction, learner, *arrows, *texts, *steps, offsets, dead, recovery, checkpoint, observers],
    )


def _step(title: str, y: float, colour: Colour = "plain") -> Box:
    return _box(title, MIDDLE, y, MIDDLE_PX, colour)


def _box(title: str, x: float, y: float, width: float, colour: Colour) -> Box:
    return Box(x, y, width, title, _LINES[title], colour)
