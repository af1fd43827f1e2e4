"""Signal processing of the stream, sample by sample: filters with a declared delay, debiased estimates.

The files in the order in which samples pass them (`neurofb.spatial` makes regions of channels)::

    spectrum      the power spectrum of a channel        (measured on a baseline, or a documented prior)
    wiener        the taps that best predict a band      (from that spectrum, for a declared delay)
    bands         samples → complex bands                (the streaming filter bank)
    power         complex bands → µV², dB                (exponential and box windows)
    synchrony     complex bands → coherence … wPLI       (all pairs, O(1) a sample)
    effective_samples  how many independent samples an estimate has, and null levels
    hop_size      where the stream is cut                (about 32 ms, and quarters of a second, by sample index)
    quality       samples → ok, noisy, flat, railed …    (each channel, with the reason)
    artifacts     samples → blink, muscle, jump          (limits from the participant's own baseline)
    rules         by which of them an old recording is judged

Every stage is a plain object: settings in the constructor, ``process(samples)`` for each chunk. Results do not
depend on how samples are chunked, to the last bit; no stage writes its input or reads a clock.
"""
