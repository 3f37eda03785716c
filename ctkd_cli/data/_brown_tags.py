"""The Brown corpus' part-of-speech tags, fine and coarse."""

from __future__ import annotations

import re

# Said of a word beside its part of speech: in a title, in a headline, cited.
ASIDE = re.compile(r"(?<=.)-(tl|hl|nc)(?=-|\+|$)")
FOREIGN = "fw"

# Fine tags as the corpus' manual describes them (Francis and Kučera, Manual of Information, 1979),
# under the universal part of speech whose definition they meet (Universal Dependencies v2,
# universaldependencies.org/u/pos; de Marneffe et al., Computational Linguistics, 2021). Where
# universal tags go by use and Brown's by form, the form decides: every be, have and do is AUX.
COARSE = {
    tag: coarse
    for coarse, tags in {
        "NOUN": "nn nn$ nns nns$ nr nr$ nrs",
        "PROPN": "np np$ nps nps$",
        "PRON": "pn pn$ pp$ pp$$ ppl ppls ppo pps ppss wp$ wpo wps ex",
        "DET": "at dt dt$ dti dts dtx wdt abl abn abx",
        "ADJ": "jj jj$ jjr jjs jjt ap ap$ od",
        "NUM": "cd cd$",
        "ADV": "rb rb$ rbr rbt rn ql qlp wrb wql",
        "VERB": "vb vbd vbg vbn vbz",
        "AUX": "md be bed bedz beg bem ben ber bez hv hvd hvg hvn hvz do dod doz",
        "ADP": "in rp",
        "PART": "to *",
        "CCONJ": "cc",
        "SCONJ": "cs",
        "INTJ": "uh",
        "PUNCT": ". , : ( ) -- `` '' '",
        "X": FOREIGN,
    }.items()
    for tag in tags.split()
}


def fine(tag: str) -> str | None:
    """A tag as the corpus writes it -> one of the keys of COARSE; None where a word has none.

    Of two words written as one (`pps+bez`, he's) the first; a negation that is written with its
    verb (`bez*`, isn't) is left out; foreign words (`fw-nn`) are one part of speech.
    """
    tag = ASIDE.sub("", tag.lower())
    if tag.startswith(f"{FOREIGN}-"):
        return FOREIGN
    first = tag.partition("+")[0]
    if first != "*":
        first = first.removesuffix("*")
    return first if first in COARSE else None
