"""`npyfast.SetEpoch`: a Keras callback that tells a dataset which epoch `fit` is in."""

from __future__ import annotations

import functools
from typing import Any

from npyfast._callbacks.passes import passes_of
from npyfast._callbacks.position import Start, check_one_a_batch, steps_made
from npyfast._options import boolean, integer

# In model.stop_training: the rest of an epoch has been made. Another callback that ends training
# overwrites it, and so is not overlooked.
_REST_MADE = type("_RestMade", (int,), {"__doc__": "True, but not the one of other callbacks."})(1)


class SetEpoch:
    """A Keras callback that makes each epoch of `fit` that epoch of the dataset's order, also when
    training was interrupted and is resumed, in a new process, in the middle of an epoch.

    A dataset counts its passes from the moment it is made. After a restart, when `fit` begins at
    epoch 5, its first pass would be epoch 0 again. With this callback it is epoch 5. If the model
    was restored from the middle of an epoch, `fit` goes on with the next batch: the first epoch is
    shorter, and its logs are those of its rest.

    `fit` must make whole passes (no `steps_per_epoch`); or make the dataset with `epochs=-1` and
    pass any `steps_per_epoch`.

    Args:
        dataset: what `npyfast.dataset`, `npyfast.keras_dataset` or `npyfast.torch_dataset`
            returned, with a `seed` if it is shuffled; or a `tf.data.Dataset` built on the first,
            such as `ds.map(...)`.
        first_step: how many steps the optimizer had made when epoch 0 began. By default, those that
            it has made when `fit` is called, before `BackupAndRestore` restores it. Pass 0 for a
            model that was saved by `ModelCheckpoint(save_freq=...)` and loaded again.
        whole_epochs: whether training is only ever resumed at the beginning of an epoch. Then any
            model will do. Otherwise the optimizer must make one step for each batch.

    Raises:
        TypeError: `dataset` is none of these.
        ValueError: `dataset` has no seed, has explicit `epochs`, or begins elsewhere than at
            epoch 0. In `fit`: the steps of the optimizer fit neither the epoch nor the batches of
            the dataset (another batch size, for example); or `fit` does not read this dataset.
        ImportError: Keras 3 is not installed.

    Example:
        >>> import keras, numpy as np, npyfast
        >>> np.save("X.npy", np.ones((100, 8), "f4")); np.save("y.npy", np.ones(100, "f4"))
        >>> ds = npyfast.dataset(("X.npy", "y.npy"), batch_size=10, shuffle=True, seed=1)
        >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> backup = keras.callbacks.BackupAndRestore("backup", save_freq=5)
        >>> callbacks = [backup, npyfast.SetEpoch(ds)]
        >>> history = model.fit(ds, epochs=2, shuffle=False, callbacks=callbacks, verbose=0)
    """

    model: Any  # from keras.callbacks.Callback
    params: Any

    def __new__(cls, *arguments: Any, **options: Any) -> SetEpoch:
        kind: Any = cls
        made: SetEpoch = object.__new__(_callback_class(kind))
        return made

    def __init__(
        self, dataset: Any, *, first_step: int | None = None, whole_epochs: bool = False
    ) -> None:
        super().__init__()
        self._passes = passes_of(dataset)
        if self._passes.batches == 0:
            raise ValueError("SetEpoch needs a dataset with batches, got one with none")
        if first_step is not None:
            first_step = integer("first_step", first_step, 0)
        self._first_step = first_step
        self._whole_epochs = boolean("whole_epochs", whole_epochs)
        self._start: Start | None = None
        self._begun = False  # the first epoch of fit
        self._set_initial_epoch = False

    def set_model(self, model: Any) -> None:
        # Before on_train_begin, where BackupAndRestore may restore another number of steps.
        super().set_model(model)  # type: ignore[misc]
        self._start = None
        if not self._whole_epochs:
            self._start = Start(steps_made(model), self._first_step)

    def on_train_begin(self, logs: Any = None) -> None:
        self._begun = self._set_initial_epoch = False
        self._passes.clear()
        per_epoch = self._per_epoch()
        if self._start is not None:
            recorded = getattr(self.model, "_initial_epoch", None) or 0
            epoch = self._start.epoch_to_repair(steps_made(self.model), per_epoch, recorded)
            if epoch is not None:
                self.model._initial_epoch = epoch
                self._set_initial_epoch = True

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch
        per_epoch = self._per_epoch()
        batch = 0
        if not self._begun and self._start is not None:
            self._steps = steps_made(self.model)
            batch = self._start.batch(self._steps, per_epoch, epoch)
        self._left = per_epoch - batch
        if not self._begun or not self._passes.endless:
            self._passes.begin_at(*divmod(epoch * per_epoch + batch, self._passes.batches))
        self._told = False
        self._checked = self._begun
        self._delivered = self._passes.delivered()
        self._shorter = batch > 0
        self._begun = True

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if batch:
            self._check_begun(batch)
        at_once = getattr(self.model, "steps_per_execution", 1) or 1
        if self._shorter and batch + at_once >= self._left:
            self.model.stop_training = _REST_MADE

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._check_begun(None)
        if self._shorter:
            self._passes.stopped()
        if self.model.stop_training is _REST_MADE:
            self.model.stop_training = False

    def on_train_end(self, logs: Any = None) -> None:
        self._passes.clear()
        if self._set_initial_epoch:  # Keras would begin the next fit there, too
            self.model._initial_epoch = None

    def _check_begun(self, batches: int | None) -> None:
        """Checks the pass when its first batches have been trained on; `batches` is how many, None
        if unknown."""
        if not self._told:
            self._told = True
            self._passes.next_is(self._epoch + 1)
        if self._checked:
            return
        self._checked = True
        if self._passes.delivered() == self._delivered is not None:
            raise ValueError(
                "SetEpoch has a dataset that fit does not read: it takes the one that fit is "
                "called with, or that this one is built on (tf.data service reads it in other "
                "processes, where it cannot be set)"
            )
        if self._start is not None and batches is not None:
            check_one_a_batch(steps_made(self.model) - self._steps, batches)

    def _per_epoch(self) -> int:
        """The batches that fit makes of an epoch. Raises ValueError unless they go together with
        the dataset."""
        steps, batches = (self.params or {}).get("steps"), self._passes.batches
        if self._passes.endless:
            if steps is None:
                raise ValueError(
                    "a dataset with epochs=-1 never ends: pass fit(steps_per_epoch=...)"
                )
            return int(steps)
        if steps is None and not self._whole_epochs:
            raise ValueError(
                "Keras does not know how many batches an epoch has, so that fit cannot continue "
                "within one: give the dataset a cardinality (assert_cardinality), or pass "
                "SetEpoch(..., whole_epochs=True)"
            )
        if steps is not None and steps != batches:
            raise ValueError(
                f"fit makes {steps} steps of an epoch, and the dataset has {batches} batches: omit "
                "steps_per_epoch, or make the dataset with epochs=-1, which goes on from one epoch "
                "to the next"
            )
        return batches


@functools.cache
def _callback_class(cls: Any) -> Any:
    """The class with Keras' base class, which is not imported before it is needed."""
    try:
        import keras
    except ImportError as error:
        raise ImportError(
            "npyfast.SetEpoch needs Keras 3: pip install 'npyfast[keras]' and a backend "
            f"(jax, torch or tensorflow) ({error})"
        ) from error
    if issubclass(cls, keras.callbacks.Callback):
        return cls
    return type(cls.__name__, (cls, keras.callbacks.Callback), {"__doc__": cls.__doc__})
