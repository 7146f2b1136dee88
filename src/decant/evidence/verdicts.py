"""What may be said about a comparison, in words, and what must be said beside it.

A claim needs three seeds, the last epoch, and data that selected nothing: neither the best epoch nor a setting.
Decoupling gets the credit only against classical distillation with its weight matched, both tuned, on equal terms.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from decant.evidence.comparison import Comparison, MethodResult
from decant.evidence.statistics import Interval, paired_interval

MINIMUM_SEEDS = 3
"""Seeds below which there is no verdict: two differences give an interval of hardly any use."""

_MANY_SEEDS = 5
"""Seeds from which the width of an interval needs no remark (the t quantile is then below 2.8)."""

_SAME = 1e-9
"""Width in percentage points below which an interval is rounding alone; accuracies come in steps of 100 / images."""

Outcome = Literal["helped", "hurt", "no difference shown", "no verdict"]


@dataclass(frozen=True)
class Claim:
    """One question and its answer.

    Attributes:
        kind: ``distillation`` (against training without a teacher) or ``decoupling`` (against the matched control).
        method: name of the method in question.
        reference: name of what it is compared with; None where that did not run.
        outcome: the answer.
        interval: paired difference in last-epoch score, percentage points; None where there is no reference.
        text: the answer as a sentence.
    """

    kind: Literal["distillation", "decoupling"]
    method: str
    reference: str | None
    outcome: Outcome
    interval: Interval | None
    text: str


@dataclass(frozen=True)
class Verdict:
    """Everything that may be said about a comparison.

    Attributes:
        claims: one answer per question.
        caveats: sentences without which the answers would be misread.
    """

    claims: tuple[Claim, ...]
    caveats: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """All sentences in order, each of them once."""
        return tuple(dict.fromkeys([claim.text for claim in self.claims] + list(self.caveats)))


def verdict(comparison: Comparison) -> Verdict:
    """What a comparison shows, by rules that are set before its numbers are known.

    Each distilling method is held against the baseline (did distillation help?), and each dkd (with any number of
    classes to a picture, bernoulli_dkd) against the weight-matched control (did decoupling help?). The 95% interval of
    the paired difference after the last epoch, of what ``comparison.metric`` names, decides: wholly above 0 it helped,
    wholly below 0 it hurt, else no difference is shown. Decoupling gets no verdict where the control differs in a
    shared setting, or the two were not tuned here, or not on equal terms.

    >>> def result(name, *top1):
    ...     values = dict(enumerate(top1))
    ...     teacher = None if name == "supervised" else "5ca1ab1e"
    ...     return MethodResult(name, name, {}, values, values, values, dict.fromkeys(values, teacher))
    >>> results = result("supervised", 90.0, 91.0, 92.0), result("kd", 92.0, 93.5, 93.5)
    >>> said = verdict(Comparison(results, "supervised", None, "test", 60, {}, {}))
    >>> said.claims[0].text
    'kd against supervised: distillation helped: +2.00 [+0.76, +3.24] percentage points of top-1 (95% interval).'
    """
    claims = tuple(_claims(comparison))
    return Verdict(claims, tuple(_caveats(comparison, claims)) + comparison.notes)


def describe_difference(interval: Interval) -> str:
    """A paired difference with its sign and interval, in percentage points: ``+2.00 [+1.53, +2.47]``."""
    if interval.low is None or interval.high is None:
        return _signed(interval.mean)
    return f"{_signed(interval.mean)} [{_signed(interval.low)}, {_signed(interval.high)}]"


def _signed(points: float) -> str:
    """``+0.25``; what is left of subtracting equal accuracies is rounding and has no sign to show."""
    return f"{0.0 if abs(points) < _SAME else points:+.2f}"


def _claims(comparison: Comparison) -> Iterator[Claim]:
    for result in comparison.results:
        if result.name != comparison.baseline and _distils(result):
            yield _distillation(comparison, result)
    for result in comparison.results:
        if result.method == comparison.metric.decoupled:
            yield _decoupling(comparison, result)


def _distils(result: MethodResult) -> bool:
    return any(teacher is not None for teacher in result.teachers.values())


def _distillation(comparison: Comparison, result: MethodResult) -> Claim:
    if comparison.baseline is None:
        text = (
            "Nothing can be said about distillation: this comparison has no student trained without a teacher "
            f"({comparison.metric.baseline})."
        )
        return Claim("distillation", result.name, None, "no verdict", None, text)
    return _decide(comparison, "distillation", result, comparison.result(comparison.baseline), None)


def _decoupling(comparison: Comparison, result: MethodResult) -> Claim:
    if comparison.control is None:
        text = (
            f"Nothing can be said about decoupling: this comparison has no control, {comparison.metric.distilled} with "
            f"its weight matched and the same warm-up ({comparison.metric.matched})."
        )
        return Claim("decoupling", result.name, None, "no verdict", None, text)
    control = comparison.result(comparison.control)
    return _decide(comparison, "decoupling", result, control, _unmatched(result, control))


def _decide(
    comparison: Comparison,
    kind: Literal["distillation", "decoupling"],
    result: MethodResult,
    reference: MethodResult,
    obstacle: str | None,
) -> Claim:
    interval = paired_interval(result.last, reference.last)
    if obstacle := _no_verdict(comparison) or _tuned_on_test(result, reference) or obstacle:
        return Claim(kind, result.name, reference.name, "no verdict", interval, obstacle)
    # With MINIMUM_SEEDS there always is an interval; this tells the type checker.
    assert interval.low is not None
    assert interval.high is not None
    pair, unit = f"{result.name} against {reference.name}", f"percentage points of {comparison.metric.name}"
    if interval.high - interval.low < _SAME:
        text = (
            f"No verdict on {pair}: all {interval.n} seeds differ by the same {_signed(interval.mean)} percentage "
            "points, so nothing is known of the spread. See whether the seeds make different runs."
        )
        return Claim(kind, result.name, reference.name, "no verdict", interval, text)
    if interval.low > 0 or interval.high < 0:
        outcome: Outcome = "helped" if interval.low > 0 else "hurt"
        text = f"{pair}: {kind} {outcome}: {describe_difference(interval)} {unit} (95% interval)."
        return Claim(kind, result.name, reference.name, outcome, interval, text)
    text = (
        f"{pair}: no difference shown by {kind}: between {_signed(interval.low)} and {_signed(interval.high)} "
        f"{unit} (95% interval)."
    )
    return Claim(kind, result.name, reference.name, "no difference shown", interval, text)


def _no_verdict(comparison: Comparison) -> str | None:
    """Why nothing at all may be said, if so."""
    if comparison.split == "training":
        return (
            "No verdict: the runs were judged on what they were trained on, which shows that they learn it, and "
            "nothing about anything new."
        )
    if comparison.split != "test":
        return (
            f"No verdict: the runs were judged on the {comparison.split} split, which is there to select settings; "
            "judge them on the test split."
        )
    if (n := len(comparison.seeds)) < MINIMUM_SEEDS:
        return f"No verdict: {n} {_plural('seed', n)} per method, and at least {MINIMUM_SEEDS} are needed."
    return None


def _tuned_on_test(*results: MethodResult) -> str | None:
    for result in results:
        if result.tuning is not None and result.tuning.split == "test":
            return (
                f"No verdict on {result.name}: {result.tuning.parameter} was chosen on the test split, "
                "so the test split can show nothing about it."
            )
    return None


def _unmatched(result: MethodResult, control: MethodResult) -> str | None:
    """Why the control is none for this method, if so: a shared setting differs, or tuning was unequal or missing."""
    tuned, tuned_of_control = _tuned_setting(result), _tuned_setting(control)
    for name in sorted(result.settings.keys() & control.settings.keys()):
        if result.settings[name] != control.settings[name] and (tuned, tuned_of_control) != (name, name):
            return (
                f"No verdict on decoupling: {result.name} has {name} {result.settings[name]} and {control.name} "
                f"{control.settings[name]}, so the two differ in more than the decoupling."
            )
    if _effort(result) != _effort(control):
        return (
            f"No verdict on decoupling: {result.name} was {_describe_effort(result)} and {control.name} was "
            f"{_describe_effort(control)}, so the two were not tuned on equal terms."
        )
    for mine, other in ((tuned, tuned_of_control), (tuned_of_control, tuned)):
        # A setting with a dot is one of the training or the data, which both have.
        if mine is not None and "." in mine and mine != other:
            return (
                f"No verdict on decoupling: {mine} was tuned for one of {result.name} and {control.name} alone, "
                "so the two may differ in more than the decoupling."
            )
    if _effort(result)[0] < 2:
        return f"No verdict on decoupling: neither {result.name} nor {control.name} was tuned in this comparison; " + (
            "a published beta was chosen by accuracy on the test set itself, and the control's weight was not "
            "chosen at all."
            if result.method == "dkd"
            else "the weights of one may only happen to be the better ones."
        )
    return None


def _tuned_setting(result: MethodResult) -> str | None:
    """The tuned setting as ``settings`` names it, or with its part of the recipe where it is none of the method."""
    return result.tuning.parameter.removeprefix("method.") if result.tuning is not None else None


def _effort(result: MethodResult) -> tuple[int, int]:
    """Candidates and seeds per candidate that went into a setting; one candidate where it was given."""
    return (len(result.tuning.candidates), len(result.tuning.seeds)) if result.tuning is not None else (1, 0)


def _describe_effort(result: MethodResult) -> str:
    candidates, seeds = _effort(result)
    if result.tuning is None:
        return "not tuned"
    return f"tuned over {candidates} {_plural('value', candidates)} with {seeds} {_plural('seed', seeds)} each"


def _caveats(comparison: Comparison, claims: tuple[Claim, ...]) -> Iterator[str]:
    decided = [claim for claim in claims if claim.outcome != "no verdict"]
    n = len(comparison.seeds)
    if decided and n < _MANY_SEEDS:
        yield f"Only {n} seeds: the intervals are wide, and a difference may well go unseen."
    if len(decided) > 1:
        yield (
            f"Each 95% interval stands for its own comparison; nothing is corrected for making {len(decided)} of them."
        )
    yield from _tuning_caveats(comparison)
    yield from shared_caveats(comparison, claims=bool(claims))
    if decided:
        yield "The intervals cover the choice of seed: not another test set, another student or a longer training."


def shared_caveats(comparison: Comparison, *, claims: bool = True) -> Iterator[str]:
    """What all runs share, so that no interval covers it; with ``claims`` also that they share a teacher."""
    data = comparison.data
    if len(comparison.teachers) == 1 and claims:
        yield f"All runs share one teacher{_named(comparison.teachers[0])}: the result is about this one teacher."
    metric = comparison.metric
    best_student = max(result.last_score.mean for result in comparison.results)
    for teacher in comparison.teachers:
        score = teacher.get(metric.key)
        if isinstance(score, int | float) and comparison.split == "test" and score <= best_student:
            yield (
                f"The teacher{_named(teacher)} is no better than its students, {score:.2f}% of {metric.name}: where "
                "it helped, that may be its softer targets rather than its knowledge."
            )
    if data.get("view_seed") is not None:
        yield "All seeds see the same augmented views: seeds differ in initialisation and order alone."
    if data.get("train_per_class") is not None:
        yield (
            f"All seeds learn from the same {data['train_per_class']} labelled images per class: "
            "the intervals do not cover another draw of them."
        )


def _tuning_caveats(comparison: Comparison) -> Iterator[str]:
    candidates = [result for result in comparison.results if result.name != comparison.baseline]
    if len({_effort(result) for result in candidates}) > 1:
        efforts = "; ".join(f"{result.name} was {_describe_effort(result)}" for result in candidates)
        yield f"Tuning was not equal: {efforts}."
    for result in comparison.results:
        tuned_with = result.tuning.seeds if result.tuning is not None else ()
        if both := sorted(set(tuned_with) & set(comparison.seeds)):
            seeds = ", ".join(str(seed) for seed in both)
            yield f"{result.name} was tuned with {_plural('seed', len(both))} {seeds}, also among those shown."


def _named(teacher: Mapping[str, Any]) -> str:
    return f" ({teacher['name']})" if teacher.get("name") else ""


def _plural(word: str, n: int) -> str:
    return word if n == 1 else f"{word}s"
