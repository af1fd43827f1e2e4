"""Arithmetic on the stream, one sample at a time, with the delay declared and the bias removed.

What comes in travels through the files in this order::

    spatial     channels → regions                       (one matrix, bad channels dropped, SSD)
    cleaning    offset and line noise out                (for broadband uses; the band filters need neither)
    spectrum    what a channel's power spectrum is       (measured on a baseline, or a documented prior)
    wiener      the taps that best foretell a band       (from that spectrum, for a declared delay)
    bands       samples → complex bands                  (the streaming filter bank)
    power       complex bands → µV², relative, dB        (exponential and box windows)
    synchrony   complex bands → coherence … wPLI         (all pairs, O(1) a sample)
    independence  how many independent samples that is, and what noise would read
    hops        where the stream is cut                  (about 32 ms, and quarters of a second, by sample index)
    quality     samples → ok, noisy, flat, railed …      (each channel, with the reason)
    artifacts   samples → blink, muscle, jump            (limits from the participant's own baseline)

Every stage is a plain object: settings in the constructor, ``process(samples)`` for each chunk. Results do not
depend on how samples are chunked, to the last bit; no stage writes its input or reads a clock.
"""
