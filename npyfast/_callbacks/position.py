"""Where in an epoch `fit` begins, by the steps that its optimizer has made."""

from __future__ import annotations

from typing import Any

_OR_WHOLE = (
    "pass SetEpoch(..., whole_epochs=True) if training is only ever resumed at the beginning of an "
    "epoch"
)


def steps_made(model: Any) -> int:
    """The batches that a model was trained on, as its optimizer has counted them. Raises ValueError
    if it does not count them."""
    import keras

    optimizer = getattr(model, "optimizer", None)
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        raise ValueError(
            "SetEpoch finds the batch to continue at by the optimizer's steps, and a "
            "LossScaleOptimizer does not count those whose gradients overflow: train in bfloat16, "
            f"or {_OR_WHOLE}"
        )
    # `iterations` leaves out steps that only accumulate gradients.
    counter = getattr(optimizer, "_iterations", None)
    if counter is None:
        raise ValueError(
            "SetEpoch finds the batch to continue at by the optimizer's steps, and this model has "
            f"no optimizer of Keras: {_OR_WHOLE}"
        )
    value = counter.value
    # TensorFlow has one for each device of a strategy.
    return int(value.read_value() if hasattr(value, "read_value") else value)


def check_one_a_batch(steps: int, batches: int) -> None:
    """Raises ValueError unless the optimizer made one step for each batch of this run of fit."""
    if steps != batches:
        raise ValueError(
            "SetEpoch finds the batch to continue at by the optimizer's steps, and it made "
            f"{steps} of them in {batches} {'batch' if batches == 1 else 'batches'}: {_OR_WHOLE}"
        )


class Start:
    """What is known where fit begins: its steps before it was called, after a callback such as
    BackupAndRestore restored the model, and per epoch."""

    def __init__(self, before: int, first_step: int | None) -> None:
        self._before = before
        self._first_step = first_step

    def epoch_to_repair(self, now: int, per_epoch: int, recorded: int) -> int | None:
        """The epoch of a restored model whose backup recorded an earlier one.

        BackupAndRestore writes the weights before the epoch, and records 0 throughout the first
        epoch after a restart.
        """
        if now == self._before:
            return None
        epoch = (now - self._origin) // per_epoch
        stale = (recorded == 0 and epoch > 0) or epoch == recorded + 1
        return epoch if stale else None

    def batch(self, now: int, per_epoch: int, epoch: int) -> int:
        """The batch of the epoch at which fit begins. Raises ValueError if the steps fit none."""
        restored = now != self._before
        batch = now - self._origin - epoch * per_epoch
        if self._first_step is None and not restored:
            if (now - epoch * per_epoch) % per_epoch == 0 or now == 0:
                return 0  # a new model, or one that was trained for whole epochs
            raise ValueError(
                f"the optimizer has made {now} steps, which are no whole number of epochs of "
                f"{per_epoch} batches: pass SetEpoch(..., first_step=0) if they were made by this "
                f"training, which is to continue within an epoch, or first_step={now} if it is a "
                "new one"
            )
        if 0 <= batch < per_epoch:
            return batch
        made = f"the optimizer has made {now - self._origin} steps"
        hint = (
            "SetEpoch must come after BackupAndRestore in the list of callbacks, and the batch "
            "size, rows and steps_per_epoch must be those of the interrupted run"
            if restored
            else f"pass fit(initial_epoch={max(0, (now - self._origin) // per_epoch)})"
        )
        raise ValueError(
            f"fit begins at epoch {epoch}, but {made}, which end in epoch "
            f"{(now - self._origin) // per_epoch} of {per_epoch} batches each: {hint}"
        )

    @property
    def _origin(self) -> int:
        return self._before if self._first_step is None else self._first_step
