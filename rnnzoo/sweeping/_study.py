"""The Optuna study behind a sweep: as many trials as were asked for, in a queue from which each is taken once.

The trials wait in the study from the beginning, so that several machines share them: who takes one marks it as running.
While it runs, its heartbeat is recorded; one whose heartbeat stops is failed, and waits again as another trial of the same
values. So of each trial that was asked for there is, at any time, one that waits, runs or is finished, and those that were
failed on the way, which do not count. What makes that so is done by one machine at a time: on SQLite there is only one, and
a PostgreSQL server has locks.
"""

import contextlib
import hashlib
import importlib.util
import re
import warnings

from rnnzoo.errors import InputError, MissingExtraError, TrainingError
from rnnzoo.sweeping._space import Choices

# What a study and its trials are told beside what Optuna knows.
ABOUT, TRIALS, CELL, DEATHS, WHY, KNOWN = "rnnzoo", "trials", "cell", "deaths", "why", "known"
# So many times a trial whose process dies is begun again.
RETRIES = 2
PRUNERS = ("median", "halving", "none")
WAITING, RUNNING, COMPLETE, PRUNED, DIVERGED, FAILED = "waiting", "running", "complete", "pruned", "diverged", "failed"


def check_extra(storage=None):
    """Raises `MissingExtraError` where Optuna, or what asks a server, is absent."""
    try:
        import optuna  # noqa: F401

        if storage is not None:
            import psycopg2  # noqa: F401
        if importlib.util.find_spec("sklearn") is None:  # for importances, at the end: not imported yet
            raise ImportError(name="scikit-learn")
    except ImportError as error:
        raise MissingExtraError(f"sweeps need the package {error.name}: pip install 'rnnzoo[sweep]'") from None


def check_storage(storage):
    """`postgresql://...` as the address that SQLAlchemy takes.

    Raises:
        InputError: it is none.
    """
    import sqlalchemy

    found = re.fullmatch(r"postgres(?:ql)?(?:\+psycopg2)?://(.+)", storage)
    try:
        address = sqlalchemy.engine.make_url(f"postgresql+psycopg2://{found[1]}") if found else None
    except (sqlalchemy.exc.ArgumentError, ValueError):
        address = None
    if address is None or not address.database:
        raise InputError(
            f"--storage {storage.partition('://')[0]}://...: expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE; on one "
            "machine leave it out: the study is an SQLite file in the sweep's folder"
        )
    return address


class Study:
    """A sweep's study, made where there is none.

    Args:
        address: SQLAlchemy's, of an SQLite file or a PostgreSQL database.
        name: what it is called there.
        about: all that its trials depend on, a dict of plain values; another one is refused.
        space: the `Space`.
        trials: how many are to be finished: as many as the grid has cells, or those of the sampler.
        grid: whether each combination is a trial.
        grace: after so many seconds without a heartbeat a trial is taken for dead.

    Raises:
        InputError: there is a study of that name, and it is another sweep's, or has more trials already.
        TrainingError: the database cannot be reached.
    """

    def __init__(self, address, name, about, space, trials, grid, grace):
        self.about, self.space, self.trials, self.grace = about, space, trials, grace
        self._cells = space.grid() if grid else None
        self._address = str(address) if isinstance(address, str) else address
        self._local = str(address).startswith("sqlite")
        self._distributions = {key: _distribution(parameter) for key, parameter in space.varied.items()}
        self._mine = {}
        # On this machine a folder may be called otherwise the next time.
        self._called, self._name = name, "sweep" if self._local else name
        self._storage = self._engine = None
        try:
            with self._told():
                self._open(address if isinstance(address, str) else address.render_as_string(hide_password=False))
        except BaseException:
            self.close()
            raise

    def _open(self, address):
        import optuna

        self._retry = optuna.storages.RetryHeartbeatStaleTrialCallback()
        self._engine = self._new_engine()
        with self._alone("tables"):  # which two would make at once
            try:
                self._storage = optuna.storages.RDBStorage(
                    address,
                    engine_kwargs={} if self._local else {"pool_pre_ping": True},
                    heartbeat_interval=max(1, self.grace // 6),
                    grace_period=self.grace,
                    heartbeat_stale_trial_callback=self._retry,
                )
            except RuntimeError as error:  # its tables are another version's
                raise InputError(f"the study of '{self._called}': {str(error).strip().partition(chr(10))[0]}") from None
        with self._alone(self._name):
            self._create()
            self._begin()

    def _create(self):
        import optuna

        self._study = optuna.create_study(
            storage=self._storage,
            study_name=self._name,
            direction="minimize" if self.about["lower"] else "maximize",
            pruner=_pruner(self.about["pruner"]),
            load_if_exists=True,
        )
        self._id = self._storage.get_study_id_from_name(self._name)

    def _begin(self):
        known = self._study.user_attrs
        if self._local and known.get(ABOUT, self.about) != self.about and not self.finished:
            import optuna

            optuna.delete_study(study_name=self._name, storage=self._storage)  # nothing came of it
            self._create()
            known = self._study.user_attrs
        if ABOUT in known:
            for key, value in self.about.items():
                before = known[ABOUT].get(key)
                if before != value:
                    what = key.replace("_", " ") + ("" if isinstance(value, dict | list) else f" ({before}, not {value})")
                    how = "go on with the same command, or give another -o"
                    other = "other" if key == "settings" else "another"
                    raise InputError(f"the sweep '{self._called}' was begun with {other} {what}; {how}")
        elif self._study.get_trials(deepcopy=False):
            raise InputError(f"the study '{self._called}' is not one of rnnzoo's; give another -o, or --study")
        else:
            self._study.set_user_attr(ABOUT, self.about)
        if known.get(TRIALS, 0) > self.trials:
            raise InputError(
                f"the sweep '{self._called}' has {known[TRIALS]} trials already; --trials {self.trials} is fewer"
            )
        self._study.set_user_attr(TRIALS, self.trials)
        if self._local:  # nobody else runs any: those that do were left by a sweep that was killed
            for trial in self._all("RUNNING"):
                self._put_back(trial)
        self._fill()

    def _fill(self):
        """Lets as many trials wait as are missing: at the beginning all of them."""
        counted = self._counted()
        if self._cells is not None:
            there = {trial.user_attrs.get(CELL) for trial in counted}
            for i, cell in enumerate(self._cells):
                if i not in there:
                    self._study.enqueue_trial(cell, user_attrs={CELL: i})
        else:
            for _ in range(self.trials - len(counted)):
                self._study.enqueue_trial({})

    def take(self):
        """A trial to run, which waited until now, as Optuna's `Trial`; `None` where none waits."""
        with self._told(), self._alone(self._name):
            if not self._local:
                self._record()
                import optuna

                optuna.storages.fail_stale_trials(self._study)
            waiting = self._all("WAITING")
            if not waiting:
                if len(self._all("RUNNING")) + self.finished < self.trials:  # killed between failing and waiting again
                    self._fill()
                return None
            # Before it is taken: one that runs and never had a heartbeat is nobody's.
            self._storage.record_heartbeat(self._trial_id(waiting[0]))
            self._study.sampler = self._sampler(waiting[0].number)
            trial = self._study.ask(self._distributions)
            self._mine[trial.number] = self._trial_id(trial)
            self._record()
            return trial

    def beat(self):
        """Says that the trials of this process are alive."""
        with self._told():
            self._record()

    def _record(self):
        for trial_id in self._mine.values():
            self._storage.record_heartbeat(trial_id)

    def overrides(self, trial):
        """What a trial is trained with."""
        return self.space.overrides({key: trial.params[key] for key in self.space.varied})

    def report(self, trial, epoch, value):
        """Keeps the value after an epoch: whether the trial is to go on."""
        with self._told(), self._still(trial):
            trial.report(value, epoch)
            return not trial.should_prune()
        return False

    def complete(self, trial, value, known):
        """Finishes a trial with its value and what else is known of it."""
        self._finish(trial, {WHY: None, KNOWN: known}, value=value)

    def prune(self, trial, known):
        """Finishes a trial whose values after some epochs were worse than those of others."""
        self._finish(trial, {WHY: None, KNOWN: known}, pruned=True)

    def diverge(self, trial, why, known):
        """Finishes a trial whose loss was no longer finite; the sampler takes it for one of the worst."""
        self._finish(trial, {WHY: why, KNOWN: known}, pruned=True)

    def fail(self, trial, why, known):
        """Finishes a trial that cannot be trained."""
        self._finish(trial, {WHY: why, KNOWN: known})

    def _finish(self, trial, attributes, value=None, pruned=False):
        from optuna.trial import TrialState

        with self._told():
            with self._alone(self._name), self._still(trial):
                for name, content in attributes.items():
                    trial.set_user_attr(name, content)
                state = TrialState.PRUNED if pruned else TrialState.FAIL if value is None else TrialState.COMPLETE
                self._study.tell(trial, value, state=state)
            self._mine.pop(trial.number, None)

    def died(self, trial, how):
        """Has a trial whose process died wait again; it is failed where that came too often.

        Returns:
            Whether it waits.
        """
        deaths = trial.user_attrs.get(DEATHS, 0) + 1
        if deaths > RETRIES:
            self.fail(trial, f"its process was ended {deaths} times, at last by {how}; is there too little memory?", {})
            return False
        with self._told(), self._still(trial):
            trial.set_user_attr(DEATHS, deaths)
        self.put_back(trial)
        return True

    def put_back(self, trial):
        """Has a trial of this process wait again."""
        with self._told(), self._alone(self._name), self._still(trial):
            self._put_back(self._storage.get_trial(self._trial_id(trial)))
        self._mine.pop(trial.number, None)

    def _put_back(self, trial):
        """What Optuna does with one whose heartbeat stopped."""
        from optuna.trial import TrialState

        self._storage.set_trial_state_values(self._trial_id(trial), state=TrialState.FAIL)
        self._retry(self._study, self._storage.get_trial(self._trial_id(trial)))

    @property
    def finished(self):
        """How many trials are."""
        with self._told():
            return sum(trial.state.is_finished() for trial in self._counted())

    def rows(self):
        """The trials that count, as dicts: `number`, `state`, `values`, `value`, `epoch`, `why` and what is known of it."""
        with self._told():
            return [self._row(trial) for trial in self._counted()]

    def _row(self, trial):
        known, why = trial.user_attrs.get(KNOWN, {}), trial.user_attrs.get(WHY)
        state = trial.state.name.lower()
        state = {"fail": FAILED, "pruned": PRUNED if why is None else DIVERGED}.get(state, state)
        after = max(trial.intermediate_values, default=None)
        value = trial.value if state == COMPLETE else None if after is None else trial.intermediate_values[after]
        return {
            "number": trial.number,
            "state": state,
            "values": {key: trial.params[key] for key in self.space.varied if key in trial.params},
            "value": value,
            "epoch": after,
            "why": why,
            "retried": len(trial.system_attrs.get("retry_history", ())),
            **known,
        }

    def importances(self):
        """Key -> its share in how the values of the trials vary (fANOVA, Hutter et al. 2014), largest first.

        `None` where there are too few complete trials to say, or all are alike.
        """
        import optuna

        with self._told():
            values = {trial.value for trial in self._all("COMPLETE")}
            if len(values) < 2 or len(self._all("COMPLETE")) < 4:
                return None
            # PED-ANOVA, which needs no scikit-learn, had of u + r, u from 1 to 9 and r below 1, r as the more important.
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
            found = optuna.importance.get_param_importances(self._study, evaluator=evaluator)
        return {key: float(share) for key, share in found.items()} if sum(found.values()) > 0 else None

    def close(self):
        """Lets go of the database."""
        if self._storage is not None:
            with contextlib.suppress(Exception):
                self._storage.remove_session()
            self._storage.engine.dispose()
        if self._engine is not None:
            self._engine.dispose()

    def _all(self, *states):
        from optuna.trial import TrialState

        chosen = tuple(TrialState[state] for state in states) or None
        return self._study.get_trials(deepcopy=False, states=chosen)

    def _counted(self):
        """The trials that count: not those in whose place another one waits, runs or is finished."""
        trials = self._all()
        replaced = {number for trial in trials for number in trial.system_attrs.get("retry_history", ())}
        failed = (trial.state.name == "FAIL" and not trial.user_attrs.get(WHY) for trial in trials)
        return [trial for trial, dead in zip(trials, failed, strict=True) if not dead and trial.number not in replaced]

    def _trial_id(self, trial):
        return self._storage.get_trial_id_from_study_id_trial_number(self._id, trial.number)

    def _sampler(self, number):
        """Of each trial its own, so that a sweep that goes on draws what one that was not ended would have drawn."""
        import optuna

        seed = hashlib.sha256(f"{self.about['seed']} {number}".encode()).digest()
        return optuna.samplers.TPESampler(seed=int.from_bytes(seed[:4]))

    def _new_engine(self):
        """What the locks are asked of, besides the storage's own connections."""
        import sqlalchemy

        return None if self._local else sqlalchemy.create_engine(self._address, poolclass=sqlalchemy.pool.NullPool)

    @contextlib.contextmanager
    def _alone(self, what):
        """One process at a time, of all that share the server; the lock goes with the connection."""
        if self._local:
            yield
            return
        import sqlalchemy

        key = int.from_bytes(hashlib.sha256(f"rnnzoo sweep {what}".encode()).digest()[:8], signed=True)
        with self._engine.begin() as connection:
            connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
            yield

    @contextlib.contextmanager
    def _still(self, trial):
        """Nothing happens inside where another process took a trial for dead: it waits again, or was run again."""
        from optuna.exceptions import UpdateFinishedTrialError

        try:
            yield
        except UpdateFinishedTrialError:
            self._mine.pop(trial.number, None)

    @contextlib.contextmanager
    def _told(self):
        """Optuna says what it does in errors alone, and they are rnnzoo's."""
        import optuna
        import sqlalchemy

        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            with warnings.catch_warnings(action="ignore"):
                yield
        except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError) as error:
            cause = error.__cause__ or error
            reason = str(getattr(cause, "orig", None) or cause).strip().partition("\n")[0]
            where = self._address if self._local else self._address.render_as_string(hide_password=True)
            damaged = self._local and re.search("not a database|malformed|no such (table|column)", reason)
            then = "restore it, or begin anew with --force" if damaged else "go on with the same command"
            raise TrainingError(f"the study at {where}: {reason}; {then}") from None
        finally:
            optuna.logging.set_verbosity(before)


def _distribution(parameter):
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(parameter, Choices):
        return CategoricalDistribution(parameter.values)
    kind = IntDistribution if parameter.whole else FloatDistribution
    return kind(parameter.low, parameter.high, log=parameter.log)


def _pruner(name):
    import optuna

    return {
        "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2),
        "halving": optuna.pruners.SuccessiveHalvingPruner,
        "none": optuna.pruners.NopPruner,
    }[name]()
