"""neurofb: real-time EEG for mindfulness practice during pain stimuli.

Read the package in the order a sample travels: ``acquisition`` → ``dsp`` → ``features`` → ``pipeline`` →
``feedback`` → ``protocol``, ``stimulation`` → ``engine`` → ``recording``; ``screens`` and ``offline`` stand apart.

Research software. Not a medical device. Not for diagnosis, treatment or relief of pain.
"""

__version__ = "0.1.0"
