"""Tasks whose answer is a text, in letters of its own where a user's examples have others."""

from rnnzoo.tasks._answers import TextAnswer
from rnnzoo.tasks._task import Task, learned_alphabet


class OwnTextTask(Task):
    """A task with a `TextAnswer`, whose alphabet and greatest length a user's examples decide anew."""

    learns_own = ("alphabet", "max_length")

    def open(self):
        """See `Task`."""
        super().open()
        self.answer = TextAnswer(self.answer.name, "", 0, open=True)

    def learn(self, training, *others):
        """The characters of the answers, and how long one is."""
        self.answer = TextAnswer(self.answer.name, *learned_alphabet(training, *others))

    def recall(self, learned):
        """See `Task`."""
        self.learns = self.learns_own
        self.answer = TextAnswer(self.answer.name, learned["alphabet"], learned["max_length"])
