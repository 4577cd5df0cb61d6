"""Packs and batches as `cllm train` makes them (src/train/pack.ts, objectives.ts, stored-points.ts, batch.ts).

A pack is pieces of text side by side in one sequence; who sees whom is in the attention bias. Knows no model: a function predicts
where fresh points are refined.
"""

from dataclasses import dataclass, replace
from typing import Callable

import numpy as np

from .hashing import hash_of, mix, permuted
from .settings import Settings
from .trajectories import Example

LEADING = -1
SHARED_FROM = 8
HIDDEN = -1e9
NONE = np.empty(0, dtype=np.int64)


@dataclass
class Segment:
    tokens: np.ndarray
    parent: int = -1
    after: int = 0
    targets: np.ndarray = None  # -1 where a token does not count
    weights: np.ndarray = None
    term: str = "ar"
    teacher: tuple[int, int] | None = None  # segment, from

    def __post_init__(self) -> None:
        if self.targets is None:
            self.targets = NONE
        if self.weights is None:
            self.weights = np.ones(len(self.targets), dtype=np.float32)


@dataclass
class Point:
    """A true token at `start` of the completion, and guesses for those behind it."""

    start: int
    guesses: np.ndarray
    successor: np.ndarray | None = None


Pack = list[Segment]


def common_prefix(a: np.ndarray, b: np.ndarray) -> int:
    length = min(len(a), len(b))
    unlike = np.nonzero(a[:length] != b[:length])[0]
    return int(unlike[0]) if len(unlike) else length


class Shuffled:
    """Examples by their place in the run, in another order each time round."""

    def __init__(self, examples: list[Example], seed: int, together: int = 1) -> None:
        self.examples, self.seed, self.together = examples, seed, together
        self.groups = len(examples) // together

    def example(self, index: int) -> Example:
        size = len(self.examples)
        place = index % size
        group = place // self.together
        if group >= self.groups:
            return self.examples[place]
        drawn = permuted(group, self.groups, mix(self.seed ^ mix(index // size + 1)))
        return self.examples[drawn * self.together + place % self.together]


def split_examples(examples: list[Example], count: int, seed: int) -> tuple[list[Example], list[Example]]:
    """Sets `count` examples aside, at most half of them. The seed chooses which."""
    order = sorted(range(len(examples)), key=lambda index: hash_of(seed, index, 7))
    aside = set(order[: len(examples) // 2][:count])
    return [e for i, e in enumerate(examples) if i not in aside], [e for i, e in enumerate(examples) if i in aside]


def usable_examples(examples: list[Example], settings: Settings, context_length: int) -> list[Example]:
    """Those that fit the context and, with their noisy points, a sequence."""
    segments = 2 if settings.points == "stored" and settings.consistency == "local" else 1

    def fits(example: Example) -> bool:
        size = len(example.prompt_ids) + len(example.completion_ids) - 1
        noisy = segments * settings.points_per_example * min(settings.block_size, len(example.completion_ids))
        return size <= context_length and size + (0 if settings.objective == "ar" else noisy) <= settings.sequence_length

    usable = [example for example in examples if fits(example)]
    if not usable:
        raise ValueError("no example fits: raise sequence_length")
    return usable


def _clean(example: Example, prompt_weight: float, parent: int, shared: int) -> Segment:
    prompt, completion = example.prompt_ids, example.completion_ids
    length = len(prompt) + len(completion) - 1
    tokens = np.concatenate([prompt, completion[:-1]])
    targets = np.full(length, -1, dtype=np.int64)
    weights = np.ones(length, dtype=np.float32)
    if prompt_weight > 0:
        targets[: len(prompt) - 1] = prompt[1:]
        weights[: len(prompt) - 1] = prompt_weight
    targets[len(prompt) - 1 :] = completion
    return Segment(tokens[shared:], parent, shared, targets[shared:], weights[shared:])


def point_length(completion: np.ndarray, point: Point) -> int:
    return max(0, min(len(point.guesses) + 1, len(completion) - 1 - point.start))


def right_prefix(point: Point, completion: np.ndarray) -> int:
    return common_prefix(point.guesses, completion[point.start + 1 :])


def _decayed(length: int, first: int, decay: float) -> np.ndarray:
    return np.array([decay ** max(0, i - first) for i in range(length)], dtype=np.float32)


def _noisy(example: Example, point: Point, clean: int, shared: int, divergence=False, decay=1.0) -> Segment:
    completion, start = example.completion_ids, point.start
    length = point_length(completion, point)
    head = example.prompt_ids[-1] if start == LEADING else completion[start]
    tokens = np.concatenate([[head], point.guesses[: length - 1]]).astype(np.int64)
    targets = completion[start + 1 : start + 1 + length].copy()
    first = min(length, right_prefix(point, completion) + 1)
    targets[:first] = -1
    after = len(example.prompt_ids) - shared + start
    weights = _decayed(len(targets), first, decay)
    return Segment(tokens, clean, after, targets, weights, "consistency", (clean, after) if divergence else None)


def _draft(example: Example, point: Point, clean: int, shared: int, decay=1.0) -> Segment:
    """The same point in draft rows: its guesses alone; all of its rows count."""
    completion, start = example.completion_ids, point.start
    length = max(0, point_length(completion, point) - 1)
    first = right_prefix(point, completion)
    after = len(example.prompt_ids) - shared + start + 1
    targets = completion[start + 2 : start + 2 + length]
    return Segment(point.guesses[:length], clean, after, targets, _decayed(length, first, decay), "consistency")


def _fresh(example: Example, count: int, draft_token: int | None, *seed: int) -> np.ndarray:
    if draft_token is not None:
        return np.full(count, draft_token, dtype=np.int64)
    prompt = example.prompt_ids
    return np.array([prompt[hash_of(*seed, i) % len(prompt)] for i in range(count)], dtype=np.int64)


def _noise_of(point: np.ndarray, fixed: np.ndarray) -> float:
    return 1 - common_prefix(point, fixed) / len(point)


def _stored(example: Example, place: int, settings: Settings) -> list[Point]:
    usable = [(points, index) for index, points in enumerate(example.blocks) if len(points) > 1]
    keyed = sorted(
        ((points, index, hash_of(settings.seed, place, index)) for points, index in usable), key=lambda each: each[2]
    )
    found = []
    for points, index, key in keyed[: settings.points_per_example]:
        fixed, noisy = points[-1], points[:-1]
        chosen = hash_of(key) % len(noisy)
        if settings.consistency == "progressive":
            level = (index % 4) / 3
            chosen = int(np.argmin([abs(_noise_of(point, fixed) - level) for point in noisy]))
        successor = points[chosen + 1][1:] if settings.consistency == "local" else None
        found.append(Point(index * settings.block_size, noisy[chosen][1:], successor))
    return found


@dataclass
class _Flight:
    example: Example
    bin: int
    clean: int
    shared: int
    point: Point
    refinements: int
    seed: tuple[int, ...]


def _draw(example: Example, place: int, refinements: int, settings: Settings) -> list[tuple[Point, int, tuple[int, ...]]]:
    if settings.points == "stored":
        return [(point, 0, ()) for point in _stored(example, place, settings)]
    starts = len(example.completion_ids) - 2
    if starts < 1:
        return []
    drawn = []
    for i in range(settings.points_per_example):
        own = (settings.seed, place, i)
        leading = 0 if settings.lossless else LEADING
        start = leading if i < settings.leading_points else hash_of(*own, 1) % starts
        guesses = _fresh(example, settings.block_size - 1, settings.draft_token, *own, 2)
        drawn.append((Point(start, guesses), refinements, own))
    return drawn


def _noisy_length(example: Example, point: Point, lossless: bool) -> int:
    length = point_length(example.completion_ids, point)
    return max(0, length - 1) if lossless else length * (1 if point.successor is None else 2)


@dataclass
class _Bin:
    segments: list[Segment]
    used: int = 0
    root: tuple[np.ndarray, int] | None = None


Predict = Callable[[list[Pack]], np.ndarray]


def make_batch(source: Shuffled, start: int, settings: Settings, predict: Predict) -> tuple[list[Pack], int, int]:
    """The packs of the batch at place `start`, the place behind it, and how many examples were too long."""
    bins = [_Bin([]) for _ in range(settings.batch)]
    flights: list[_Flight] = []
    refinements = hash_of(settings.seed, start, 3) % (settings.refinements + 1)
    place, skipped = start, 0
    while True:
        example = source.example(place)
        points = [] if settings.objective == "ar" else _draw(example, place, refinements, settings)
        noisy = sum(_noisy_length(example, point, settings.lossless) for point, _, _ in points)
        size = len(example.prompt_ids) + len(example.completion_ids) - 1 + noisy
        if size > settings.sequence_length:
            skipped += 1
            place += 1
            if skipped > 10_000:
                raise ValueError("10,000 examples in a row are longer than a sequence; raise sequence_length")
            continue
        found = _find_room(bins, example, size, settings.sequence_length)
        if found is None:
            break
        number, shared = found
        chosen = bins[number]
        clean = len(chosen.segments)
        parent = chosen.root[1] if shared > 0 else -1
        text = _clean(example, settings.prompt_weight, parent, shared)
        if settings.lossless:
            text = Segment(text.tokens, text.parent, text.after)  # the base is as it is
        chosen.segments.append(text)
        chosen.used += size - shared
        if shared == 0:
            chosen.root = (text.tokens, clean)
        flights += [_Flight(example, number, clean, shared, point, moves, own) for point, moves, own in points]
        place += 1
    turn = 0
    while any(flight.refinements > turn for flight in flights):
        _refine(bins, [each for each in flights if each.refinements > turn], turn, settings, predict)
        turn += 1
    packs = []
    for number, chosen in enumerate(bins):
        segments = list(chosen.segments)
        for flight in flights:
            if flight.bin == number:
                _add_point(segments, flight, settings)
        packs.append(segments)
    return packs, place, skipped


def _find_room(bins: list[_Bin], example: Example, size: int, length: int) -> tuple[int, int] | None:
    for number, each in enumerate(bins):
        shared = 0 if each.root is None else common_prefix(each.root[0], example.prompt_ids[:-1])
        if shared >= SHARED_FROM and each.used + size - shared <= length:
            return number, shared
    for number, each in enumerate(bins):
        if each.used + size <= length:
            return number, 0
    return None


def _refine(bins: list[_Bin], flights: list[_Flight], turn: int, settings: Settings, predict: Predict) -> None:
    packs, ordered = [], []
    for number, each in enumerate(bins):
        # All rows of the points are wanted, and none of the clean text's.
        segments = [Segment(part.tokens, part.parent, part.after) for part in each.segments]
        for flight in flights:
            if flight.bin != number:
                continue
            make = _draft if settings.lossless else _noisy
            part = make(flight.example, flight.point, flight.clean, flight.shared)
            segments.append(replace(part, targets=np.zeros_like(part.targets)))
            ordered.append(flight)
        packs.append(segments)
    following = predict(packs)
    at = 0
    for flight in ordered:
        length = _noisy_length(flight.example, flight.point, settings.lossless)
        written = following[at : at + length]
        after = np.concatenate([[0], written]) if settings.lossless else written
        at += length
        moved = _advance(flight, after, turn, settings)
        if moved is None:
            flight.refinements = 0
        else:
            flight.point = moved


def _advance(flight: _Flight, following: np.ndarray, turn: int, settings: Settings) -> Point | None:
    completion, point = flight.example.completion_ids, flight.point
    settled = right_prefix(point, completion) + 1
    start = point.start + settled
    if start >= len(completion) - 2:
        return None
    refined = _fresh(flight.example, len(point.guesses), settings.draft_token, *flight.seed, 4 + turn)
    kept = following[settled : len(point.guesses) + 1]
    refined[: len(kept)] = kept
    return Point(start, refined)


def _add_point(segments: list[Segment], flight: _Flight, settings: Settings) -> None:
    example, point, clean, shared = flight.example, flight.point, flight.clean, flight.shared
    length = point_length(example.completion_ids, point)
    if settings.lossless:
        if length >= 2:
            segments.append(_draft(example, point, clean, shared, settings.row_decay))
        return
    if length < 2 or right_prefix(point, example.completion_ids) >= length - 1:
        return
    divergence = settings.loss == "kl"
    part = _noisy(example, point, clean, shared, divergence, settings.row_decay)
    if settings.consistency != "local" or point.successor is None:
        segments.append(part)
        return
    successor = _noisy(example, Point(point.start, point.successor), clean, shared)
    teacher = (len(segments), 0)
    segments.append(replace(successor, targets=np.full_like(successor.targets, -1)))
    segments.append(replace(part, teacher=teacher if divergence else None))


def total_weights(packs: list[Pack]) -> dict[str, float]:
    """Sums of the weights of all tokens that count, by term."""
    totals = {"ar": 0.0, "consistency": 0.0}
    for pack in packs:
        for part in pack:
            totals[part.term] += float(part.weights[part.targets >= 0].astype(np.float64).sum())
    return totals


@dataclass
class Layout:
    """What a model is fed for one pack of T tokens, and the R rows that carry loss."""

    ids: np.ndarray  # (T,)
    positions: np.ndarray  # (T,)
    bias: np.ndarray  # (T, T)
    drafts: np.ndarray  # (T,) whether a token is of a noisy segment
    rows: np.ndarray  # (R,)
    targets: np.ndarray  # (R,)
    weights: np.ndarray  # (R,) of the cross entropy
    teachers: np.ndarray  # (R,) indices into rows
    divergences: np.ndarray  # (R,) weights of the divergence
    terms: list[str]  # of the rows that do not only teach


def lay_out(pack: Pack, factors: dict[str, float], window: int | None = None) -> Layout:
    length = max(1, sum(len(part.tokens) for part in pack))
    ids = np.zeros(length, dtype=np.int64)
    positions = np.zeros(length, dtype=np.int64)
    bias = np.full((length, length), HIDDEN, dtype=np.float32)
    drafts = np.zeros(length, dtype=bool)
    rows, targets, weights, divergences, teachers, terms = [], [], [], [], [], []
    starts, followed, at = [], [], 0
    for part in pack:
        inside = None if part.parent < 0 else starts[part.parent] + part.after - 1
        seen = inside if inside is None or part.after > 0 else followed[part.parent]
        starts.append(at)
        followed.append(seen)
        size = len(part.tokens)
        ids[at : at + size] = part.tokens
        positions[at : at + size] = (0 if seen is None else positions[seen] + 1) + np.arange(size)
        drafts[at : at + size] = part.term == "consistency"
        for i in range(size):
            if seen is not None:
                bias[at + i, :at] = bias[seen, :at]
            bias[at + i, at : at + i + 1] = 0
            if i >= len(part.targets) or part.targets[i] < 0:
                continue
            weight = float(part.weights[i]) * factors[part.term]
            rows.append(at + i)
            terms.append(part.term)
            targets.append(int(part.targets[i]))
            weights.append(weight if part.teacher is None else 0.0)
            divergences.append(0.0 if part.teacher is None else weight)
            teachers.append(-1 if part.teacher is None else starts[part.teacher[0]] + part.teacher[1] + i)
        at += size
    for i in range(at, length):
        bias[i, i] = 0
    if window is not None:
        apart = positions[:, None] - positions[None, :]
        bias[np.tril(apart >= window, -1)] = HIDDEN
    index_of = {place: index for index, place in enumerate(rows)}
    for place in list(teachers):
        if place >= 0 and place not in index_of:
            index_of[place] = len(rows)
            rows.append(place)
    if not rows:
        rows.append(0)
    for _ in range(len(rows) - len(targets)):
        targets.append(0)
        weights.append(0.0)
        divergences.append(0.0)
        teachers.append(-1)
    found = [index if place < 0 else index_of[place] for index, place in enumerate(teachers)]
    return Layout(
        ids, positions, bias, drafts, np.array(rows), np.array(targets), np.array(weights), np.array(found),
        np.array(divergences), terms,
    )  # fmt: skip
