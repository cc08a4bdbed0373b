"""How far a run is, how fast it goes, and when it will be there."""

from __future__ import annotations

from tunekit.events import MetricsEvent


class Pace:
    """Gather the figures of the metrics events, by the clock of the job's machine."""

    def __init__(self, total: int | None = None) -> None:
        self.total = total
        self.step = 0
        self.loss: float | None = None
        self.tokens_per_second: float | None = None
        self._began: tuple[float, int] | None = None
        self._now = 0.0

    def add(self, event: MetricsEvent) -> None:
        """Take in the numbers of one event."""
        numbers = event.metrics
        if "max_steps" in numbers:
            self.total = int(numbers["max_steps"])
            # Training begins here, or begins again after a resume.
            self._began = None
        self.loss = numbers.get("loss", self.loss)
        self.tokens_per_second = numbers.get("tokens_per_second", self.tokens_per_second)
        self.step = max(self.step, event.step)
        self._now = event.time
        if self._began is None:
            self._began = (event.time, event.step)

    @property
    def share(self) -> float:
        """The part of the way that is done, 0 to 1."""
        return min(1.0, self.step / self.total) if self.total else 0.0

    @property
    def seconds_left(self) -> float | None:
        """The time to the last step at the average speed, or None while it is unknown."""
        if self._began is None or not self.total:
            return None
        then, first = self._began
        done, took = self.step - first, self._now - then
        return took / done * (self.total - self.step) if done > 0 and took > 0 else None

    def __str__(self) -> str:
        of = f"/{self.total}" if self.total else ""
        parts = [f"step {self.step}{of}"]
        if self.loss is not None:
            parts.append(f"loss {self.loss:.4f}")
        if self.tokens_per_second is not None:
            parts.append(f"{self.tokens_per_second:,.0f} tokens/s")
        left = self.seconds_left
        if left is not None and self.step < (self.total or 0):
            parts.append(f"{_clock(left)} left")
        return " · ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
