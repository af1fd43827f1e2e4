"""Every per-sample loop of neurofb, and nothing else.

Design:

(a) One dtype (float64; filter taps alone are float32, see (g)), one order (C, samples first, channels last), typed memoryviews, no NumPy headers.
    Complex numbers arrive as a last axis of two: real, imaginary.
(b) The classes of ``neurofb.dsp`` check types and shapes, allocate every workspace and keep the state; a kernel
    allocates nothing, raises nothing inside its loops and holds no lock. Arguments are marked IN, STATE, WORK, OUT.
(c) Channels (or pairs) run in lanes of LANES = 8, padded with zeros: a loop of fixed length over lanes is what a
    compiler turns into vector instructions. Sums over time run in the order of time in every lane. Together with
    "no contraction, no reordering" in setup.py this makes results equal to the last bit for every chunk size and
    every instruction set.
(d) The instruction set is chosen when the module is loaded, by the return type ``clones``: where compiler and
    loader know how (GCC on x86-64 Linux), the function is compiled for AVX-512, AVX2 and the baseline.
    Elsewhere, and in checked builds, it is compiled once, for the baseline; the suite compares their bits.
(e) A missing value is a NaN. It never enters a sum: filters note where it was and give NaN while it lies in
    their reach; averages leave it out and count what they have.
(f) No directive stands here: ``setup.py`` sets them, so that NEUROFB_CHECKED=1 can build kernels that test
    every index.
(g) A bank for 64 channels and 6 bands has 1.5 MB of taps in float64, and a single output fetches each of them once:
    memory, not arithmetic, sets its cost. In float32 they fit the cache. Only the design is rounded (and its sum
    mended, so that an offset still gives nothing); samples, products and sums are float64.
"""

from libc.math cimport NAN, fabs, isinf, sqrt
from libc.string cimport memmove

cdef extern from *:
    """
    #ifndef NEUROFB_CHECKED
    #define NEUROFB_CHECKED 0
    #endif
    #if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && !NEUROFB_CHECKED
    #define NEUROFB_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
    #define NEUROFB_INSTRUCTION_SETS "avx512f, avx2, baseline"
    #else
    #define NEUROFB_CLONES
    #define NEUROFB_INSTRUCTION_SETS "baseline"
    #endif
    #ifndef NEUROFB_FLAGS
    #define NEUROFB_FLAGS "unknown"
    #endif
    """
    ctypedef void clones "NEUROFB_CLONES void"
    bint _checked "NEUROFB_CHECKED"
    const char* _flags "NEUROFB_FLAGS"
    const char* _instruction_sets "NEUROFB_INSTRUCTION_SETS"

cdef enum:
    LANES_ = 8      # doubles in the widest vector register in use
    OUTPUTS_ = 4    # filter outputs computed side by side, so that each tap is fetched once for all of them
    N_SUMS = 18     # running sums of one pair, named below

LANES = LANES_
OUTPUTS = OUTPUTS_
SUMS_PER_PAIR = N_SUMS
CHECKED = bool(_checked)
FLAGS = _flags.decode()
INSTRUCTION_SETS = _instruction_sets.decode()


# ---------------------------------------------------------------------------------------------------------------
# Input
# ---------------------------------------------------------------------------------------------------------------

def first_infinite(
    const double[:, ::1] x,     # IN     (samples, channels)
):
    """Return the flat index of the first infinite value, -1 if there is none."""
    cdef Py_ssize_t n, c, found = -1
    with nogil:
        for n in range(x.shape[0]):
            for c in range(x.shape[1]):
                if isinf(x[n, c]):
                    found = n * x.shape[1] + c
                    break
            if found >= 0:
                break
    return found


# ---------------------------------------------------------------------------------------------------------------
# Channels to regions
# ---------------------------------------------------------------------------------------------------------------

cdef clones _project(
    const double[:, ::1] x, const double[:, ::1] weights, double[:, ::1] out
) noexcept nogil:
    cdef Py_ssize_t n, c, r
    cdef double value, weight
    for n in range(x.shape[0]):
        for r in range(out.shape[1]):
            out[n, r] = 0.0
        for c in range(x.shape[1]):
            value = x[n, c]
            for r in range(out.shape[1]):
                weight = weights[c, r]
                # A channel without weight must not pass on its NaN.
                out[n, r] = out[n, r] + (weight * value if weight != 0.0 else 0.0)


def project(
    const double[:, ::1] x,         # IN     (samples, channels)
    const double[:, ::1] weights,   # IN     (channels, outputs)
    double[:, ::1] out,             # OUT    (samples, outputs)
):
    """Multiply each sample by a matrix; unlike a BLAS product, the same bits for every number of samples."""
    with nogil:
        _project(x, weights, out)


# ---------------------------------------------------------------------------------------------------------------
# Filters
# ---------------------------------------------------------------------------------------------------------------

cdef clones _fir_one(
    const double[:, ::1] line, Py_ssize_t row, Py_ssize_t stride,
    const float[:, :, ::1] taps, const long long[::1] n_taps, double[:, :, :, ::1] work
) noexcept nogil:
    """One output of every band and channel: work[0]."""
    cdef double re[LANES_]
    cdef double im[LANES_]
    cdef double value
    cdef Py_ssize_t b, g, h, k, q, shared = taps.shape[1] == 1
    for b in range(taps.shape[0]):
        for g in range(line.shape[1] // LANES_):
            h = 0 if shared else g
            for q in range(LANES_):
                re[q] = im[q] = 0.0
            for k in range(n_taps[b]):
                for q in range(LANES_):
                    value = line[row - k * stride, LANES_ * g + q]
                    re[q] = re[q] + taps[b, h, 2 * LANES_ * k + q] * value
                    im[q] = im[q] + taps[b, h, 2 * LANES_ * k + LANES_ + q] * value
            for q in range(LANES_):
                work[0, b, 0, LANES_ * g + q] = re[q]
                work[0, b, 1, LANES_ * g + q] = im[q]


cdef clones _fir_four(
    const double[:, ::1] line, Py_ssize_t row, Py_ssize_t step, Py_ssize_t stride,
    const float[:, :, ::1] taps, const long long[::1] n_taps, double[:, :, :, ::1] work
) noexcept nogil:
    """Four outputs ``step`` rows apart, the same sums in the same order as ``_fir_one``: work[0:4]."""
    cdef double re[OUTPUTS_][LANES_]
    cdef double im[OUTPUTS_][LANES_]
    cdef double value
    cdef Py_ssize_t b, g, h, k, m, q, shared = taps.shape[1] == 1
    for b in range(taps.shape[0]):
        for g in range(line.shape[1] // LANES_):
            h = 0 if shared else g
            for m in range(OUTPUTS_):
                for q in range(LANES_):
                    re[m][q] = im[m][q] = 0.0
            for k in range(n_taps[b]):
                for m in range(OUTPUTS_):
                    for q in range(LANES_):
                        value = line[row + m * step - k * stride, LANES_ * g + q]
                        re[m][q] = re[m][q] + taps[b, h, 2 * LANES_ * k + q] * value
                        im[m][q] = im[m][q] + taps[b, h, 2 * LANES_ * k + LANES_ + q] * value
            for m in range(OUTPUTS_):
                for q in range(LANES_):
                    work[m, b, 0, LANES_ * g + q] = re[m][q]
                    work[m, b, 1, LANES_ * g + q] = im[m][q]


cdef inline void _append(
    const double[:, ::1] x, Py_ssize_t n, Py_ssize_t index, Py_ssize_t row,
    double[:, ::1] raw, long long[::1] missing_at, double[:, ::1] line
) noexcept nogil:
    """Put sample n of x, averaged over the last ``width`` samples, into row ``row`` of the line."""
    cdef Py_ssize_t c, m, place, width = raw.shape[0]
    for c in range(x.shape[1]):
        if x[n, c] == x[n, c]:
            raw[index % width, c] = x[n, c]
        else:
            raw[index % width, c] = 0.0
            missing_at[c] = index
    for c in range(x.shape[1]):
        line[row, c] = 0.0
    for m in range(width):  # newest first, wherever the ring begins
        place = (index - m + width) % width
        for c in range(x.shape[1]):
            line[row, c] = line[row, c] + raw[place, c]
    if width > 1:
        for c in range(x.shape[1]):
            line[row, c] = line[row, c] / width


cdef inline void _give(
    const double[:, :, :, ::1] work, Py_ssize_t m, const long long[:, ::1] missed, Py_ssize_t index,
    const long long[::1] n_taps, Py_ssize_t width, double[:, :, :, ::1] out, Py_ssize_t row
) noexcept nogil:
    """Copy output m, that of sample ``index``: NaN where a band's taps reach back to a missing sample."""
    cdef Py_ssize_t b, c, reach
    for b in range(out.shape[1]):
        reach = n_taps[b] * width
        for c in range(out.shape[2]):
            out[row, b, c, 0] = work[m, b, 0, c] if index - missed[m, c] >= reach else NAN
            out[row, b, c, 1] = work[m, b, 1, c] if index - missed[m, c] >= reach else NAN


def band_filter(
    const double[:, ::1] x,                 # IN     (samples, channels)
    Py_ssize_t index,                       # IN     samples seen before x
    Py_ssize_t every,                       # IN     give outputs where (index + 1) % every == 0
    const float[:, :, ::1] taps,            # IN     (bands, lane groups or 1, most taps × (re, im) × LANES)
    const long long[::1] n_taps,            # IN     (bands,) how many taps a band has
    double[:, ::1] raw,                     # STATE  (width, channels): averaged before the taps, their stride
    long long[::1] missing_at,              # STATE  (channels,) index of the last missing sample
    double[:, ::1] line,                    # STATE  (rows, padded channels), averaged samples in a row
    Py_ssize_t end,                         # STATE  row after the newest sample in line
    long long[:, ::1] missed,               # WORK   (OUTPUTS, channels)
    double[:, :, :, ::1] work,              # WORK   (OUTPUTS, bands, 2, padded channels)
    double[:, :, :, ::1] out,               # OUT    (outputs, bands, channels, 2)
):
    """Run a bank of complex FIR filters; give the row of the line that the next sample will take."""
    cdef Py_ssize_t width = raw.shape[0]
    cdef Py_ssize_t keep = taps.shape[2] // (2 * LANES_) * width + OUTPUTS_ * every
    cdef Py_ssize_t n, c, m, newest = 0, waiting = 0, given = 0, first = 0
    with nogil:
        for n in range(x.shape[0]):
            if end == line.shape[0]:
                # The line is full: what taps and waiting outputs still reach moves to the front.
                memmove(&line[0, 0], &line[end - keep, 0], keep * line.shape[1] * sizeof(double))
                first -= end - keep
                end = keep
            _append(x, n, index + n, end, raw, missing_at, line)
            end += 1
            if (index + n + 1) % every:
                continue
            if waiting == 0:
                first = end - 1
            newest = index + n
            for c in range(x.shape[1]):
                missed[waiting, c] = missing_at[c]
            waiting += 1
            if waiting == OUTPUTS_:
                _fir_four(line, first, every, width, taps, n_taps, work)
                for m in range(OUTPUTS_):
                    _give(work, m, missed, newest - (OUTPUTS_ - 1 - m) * every, n_taps, width, out, given + m)
                given += OUTPUTS_
                waiting = 0
        for m in range(waiting):
            _fir_one(line, first + m * every, width, taps, n_taps, work[m:])
            _give(work, m, missed, newest - (waiting - 1 - m) * every, n_taps, width, out, given + m)
    return end


# ---------------------------------------------------------------------------------------------------------------
# Power
# ---------------------------------------------------------------------------------------------------------------

cdef inline void _add(double* total, double* correction, double value) noexcept nogil:
    """Add with the rounding error kept (Knuth's two-sum): what is later subtracted leaves nothing behind."""
    cdef double new = total[0] + value
    cdef double part = new - total[0]
    correction[0] += (total[0] - (new - part)) + (value - part)
    total[0] = new


cdef clones _power_exponential(
    const double[:, :, :, ::1] z, double decay, double least_weight,
    double[:, ::1] total, double[:, ::1] weight, double[:, :, ::1] out
) noexcept nogil:
    cdef Py_ssize_t n, b, c
    cdef double power, mean
    for n in range(z.shape[0]):
        for b in range(z.shape[1]):
            for c in range(z.shape[2]):
                power = 0.5 * (z[n, b, c, 0] * z[n, b, c, 0] + z[n, b, c, 1] * z[n, b, c, 1])
                total[b, c] = decay * total[b, c] + (power if power == power else 0.0)
                weight[b, c] = decay * weight[b, c] + (1.0 if power == power else 0.0)
                mean = total[b, c] / weight[b, c]
                out[n, b, c] = mean if power == power and weight[b, c] >= least_weight else NAN


def power_exponential(
    const double[:, :, :, ::1] z,       # IN     (samples, bands, channels, 2)
    double decay,                       # IN     weight of the past after one sample
    double least_weight,                # IN     below it there is no value
    double[:, ::1] total,               # STATE  (bands, channels)
    double[:, ::1] weight,              # STATE  (bands, channels)
    double[:, :, ::1] out,              # OUT    (samples, bands, channels)
):
    """Average half the squared magnitude with exponential weights; NaN samples are left out."""
    with nogil:
        _power_exponential(z, decay, least_weight, total, weight, out)


def power_box(
    const double[:, :, :, ::1] z,       # IN     (samples, bands, channels, 2)
    double least_weight,                # IN     below that many samples there is no value
    double[:, :, ::1] ring,             # STATE  (window, bands, channels), NaN for what is missing
    Py_ssize_t at,                      # STATE  row of the oldest value
    double[:, :, ::1] total,            # STATE  (2, bands, channels) running sum: leading part, correction
    double[:, :, ::1] fresh,            # STATE  the same, begun anew whenever the ring begins again
    double[:, ::1] weight,              # STATE  (bands, channels) values in the window
    double[:, :, ::1] out,              # OUT    (samples, bands, channels)
):
    """Average half the squared magnitude over a window; give the row that is now the oldest."""
    cdef Py_ssize_t n, b, c
    cdef double power, oldest
    with nogil:
        for n in range(z.shape[0]):
            for b in range(z.shape[1]):
                for c in range(z.shape[2]):
                    power = 0.5 * (z[n, b, c, 0] * z[n, b, c, 0] + z[n, b, c, 1] * z[n, b, c, 1])
                    oldest = ring[at, b, c]
                    if power == power:
                        _add(&total[0, b, c], &total[1, b, c], power)
                        _add(&fresh[0, b, c], &fresh[1, b, c], power)
                        weight[b, c] += 1.0
                    if oldest == oldest:
                        _add(&total[0, b, c], &total[1, b, c], -oldest)
                        weight[b, c] -= 1.0
                    if at + 1 == ring.shape[0]:
                        # A sum that only ever grew replaces one that also shrank: rounding cannot build up.
                        total[0, b, c] = fresh[0, b, c]
                        total[1, b, c] = fresh[1, b, c]
                        fresh[0, b, c] = fresh[1, b, c] = 0.0
                    ring[at, b, c] = power
                    if power == power and weight[b, c] >= least_weight:
                        out[n, b, c] = (total[0, b, c] + total[1, b, c]) / weight[b, c]
                    else:
                        out[n, b, c] = NAN
            at = at + 1 if at + 1 < ring.shape[0] else 0
    return at


# ---------------------------------------------------------------------------------------------------------------
# Artifacts
# ---------------------------------------------------------------------------------------------------------------

def artifacts(
    const double[:, ::1] block,     # IN     (samples, channels) of one hop, NaN where missing
    const double[:, ::1] muscle,    # IN     (channels, 2), the muscle band at its end
    double[:, ::1] sums,            # STATE  (2, channels), sums of the two hops before, the older first
    double[:, ::1] smooth,          # STATE  (hops, channels), sums of three hops each: half a second of them
    Py_ssize_t at,                  # STATE  the row of it that is due
    double gain,                    # IN     of the running muscle power
    const double[:, ::1] limits,    # IN     (3, channels)
    double[:, ::1] measures,        # STATE  (3, channels): swing, step, muscle power
):
    """Measure swing, step and muscle power of a hop; give whether any is over its limit.

    A swing or step across a missing sample is NaN, and over no limit. Missing muscle leaves the running power as it is.
    """
    cdef Py_ssize_t n, c, row
    cdef double total, low, high, power
    cdef bint is_over = False
    with nogil:
        for c in range(block.shape[1]):
            measures[1, c] = block[0, c]
        for n in range(1, block.shape[0]):
            for c in range(block.shape[1]):
                measures[1, c] += block[n, c]
        for c in range(block.shape[1]):
            total = measures[1, c]
            measures[1, c] = fabs(total - sums[1, c])
            smooth[at, c] = sums[0, c] + sums[1, c] + total
            sums[0, c], sums[1, c] = sums[1, c], total
            low = high = smooth[0, c]
            for row in range(smooth.shape[0]):
                if smooth[row, c] != smooth[row, c]:
                    low = high = NAN
                    break
                low = min(low, smooth[row, c])
                high = max(high, smooth[row, c])
            measures[0, c] = high - low
            power = 0.5 * (muscle[c, 0] * muscle[c, 0] + muscle[c, 1] * muscle[c, 1])
            if measures[2, c] != measures[2, c]:
                measures[2, c] = power
            elif power == power:
                measures[2, c] = (power - measures[2, c]) * gain + measures[2, c]
            for row in range(3):
                is_over = is_over or measures[row, c] > limits[row, c]
    return is_over


# ---------------------------------------------------------------------------------------------------------------
# Synchrony
#
# For a pair of channels with band-limited analytic signals x and y, s = x·conj(y) and v = Im s. One pair has
# N_SUMS running sums, each over the samples at which both are present, with weights w (1, or decaying):
#
#   WEIGHT      w                      POWER_X  w|x|²     POWER_Y  w|y|²     AMP_X  w|x|     AMP_Y  w|y|
#   CROSS_RE    w Re s                 CROSS_IM w v       UNIT_RE, UNIT_IM   w s/|s|         ABS_IM w|v|
#   NEAR_IM     Σ w w' v v' over the ordered pairs of samples no further apart than ``near``, a sample with
#               itself included; NEAR_ABS the same with |v|: what debiasing takes out of (Σ w v)² and (Σ w|v|)²
#   RECENT_IM   Σ w v over the ``near`` samples before the next one; RECENT_ABS the same with |v|
#   ORTH_X      w |v|/|x|, the amplitude of y orthogonal to x      ORTH_X2  w v²/|x|²
#   ORTH_Y      w |v|/|y|, the amplitude of x orthogonal to y      ORTH_Y2  w v²/|y|²
#
# Pairs lie in groups of LANES with one first channel (the seed) and neighbouring columns as partners. A column
# is a channel, padding (always absent), or a copy of a channel where chosen pairs ask for it.
# ---------------------------------------------------------------------------------------------------------------

cdef enum:
    WEIGHT, POWER_X, POWER_Y, AMP_X, AMP_Y
    CROSS_RE, CROSS_IM, UNIT_RE, UNIT_IM, ABS_IM
    NEAR_IM, NEAR_ABS, RECENT_IM, RECENT_ABS
    ORTH_X, ORTH_X2, ORTH_Y, ORTH_Y2

cdef enum:
    RE, IM, AMP, INVERSE, POWER, PRESENT, N_FIELDS

FIELDS = N_FIELDS

cdef enum:
    COHERENCE, IMAGINARY, PLV, CIPLV, WPLI, WPLI2, AEC, N_MEASURES

MEASURES = ("coherence", "imaginary_coherence", "plv", "ciplv", "wpli", "debiased_wpli2", "aec_orth")


def store_columns(
    const double[:, :, :, ::1] z,           # IN     (samples, bands, channels, 2)
    const long long[::1] column_channel,    # IN     (columns,) channel of each column, -1 for padding
    double[:, :, :, ::1] ring,              # STATE  (rows, bands, FIELDS, columns)
    Py_ssize_t at,                          # STATE  row for the next sample
):
    """Put samples into the ring with what every pair needs of each; give the row for the next."""
    cdef Py_ssize_t n, b, c, channel
    cdef double re, im, power, amplitude
    with nogil:
        for n in range(z.shape[0]):
            for b in range(z.shape[1]):
                for c in range(column_channel.shape[0]):
                    channel = column_channel[c]
                    re = z[n, b, channel, 0] if channel >= 0 else NAN
                    im = z[n, b, channel, 1] if channel >= 0 else NAN
                    power = re * re + im * im
                    amplitude = sqrt(power)
                    if power != power:
                        re = im = power = amplitude = 0.0
                        ring[at, b, PRESENT, c] = 0.0
                    else:
                        ring[at, b, PRESENT, c] = 1.0
                    ring[at, b, RE, c] = re
                    ring[at, b, IM, c] = im
                    ring[at, b, POWER, c] = power
                    ring[at, b, AMP, c] = amplitude
                    ring[at, b, INVERSE, c] = 1.0 / amplitude if amplitude > 0.0 else 0.0
            at = at + 1 if at + 1 < ring.shape[0] else 0
    return at


cdef inline double _lagged(
    const double[:, :, :, ::1] ring, Py_ssize_t row, Py_ssize_t b, Py_ssize_t seed, Py_ssize_t column
) noexcept nogil:
    """v = Im x·conj(y); 0 where either is absent."""
    return ring[row, b, IM, seed] * ring[row, b, RE, column] - ring[row, b, RE, seed] * ring[row, b, IM, column]


cdef inline void _take_in(
    const double[:, :, :, ::1] ring, Py_ssize_t row, Py_ssize_t b, Py_ssize_t x, Py_ssize_t y,
    Py_ssize_t q, double decay, double sign, double (*a)[LANES_]
) noexcept nogil:
    """Let the plain sums of one pair decay and take in the sample in ``row``, or with sign -1 take it out."""
    cdef double both = sign * ring[row, b, PRESENT, x] * ring[row, b, PRESENT, y]
    cdef double re = ring[row, b, RE, x] * ring[row, b, RE, y] + ring[row, b, IM, x] * ring[row, b, IM, y]
    cdef double im = _lagged(ring, row, b, x, y)
    cdef double size = fabs(im)
    cdef double unit = sign * (ring[row, b, INVERSE, x] * ring[row, b, INVERSE, y])
    cdef double orth_x = size * ring[row, b, INVERSE, x]
    cdef double orth_y = size * ring[row, b, INVERSE, y]
    a[WEIGHT][q] = decay * a[WEIGHT][q] + both
    a[POWER_X][q] = decay * a[POWER_X][q] + both * ring[row, b, POWER, x]
    a[POWER_Y][q] = decay * a[POWER_Y][q] + both * ring[row, b, POWER, y]
    a[AMP_X][q] = decay * a[AMP_X][q] + both * ring[row, b, AMP, x]
    a[AMP_Y][q] = decay * a[AMP_Y][q] + both * ring[row, b, AMP, y]
    a[CROSS_RE][q] = decay * a[CROSS_RE][q] + sign * re
    a[CROSS_IM][q] = decay * a[CROSS_IM][q] + sign * im
    a[UNIT_RE][q] = decay * a[UNIT_RE][q] + re * unit
    a[UNIT_IM][q] = decay * a[UNIT_IM][q] + im * unit
    a[ABS_IM][q] = decay * a[ABS_IM][q] + sign * size
    a[ORTH_X][q] = decay * a[ORTH_X][q] + sign * orth_x
    a[ORTH_X2][q] = decay * a[ORTH_X2][q] + sign * (orth_x * orth_x)
    a[ORTH_Y][q] = decay * a[ORTH_Y][q] + sign * orth_y
    a[ORTH_Y2][q] = decay * a[ORTH_Y2][q] + sign * (orth_y * orth_y)


cdef inline void _take_in_near(
    double im, double left, Py_ssize_t q, double decay, double decay_near, double (*a)[LANES_]
) noexcept nogil:
    """The sums over near samples: ``im`` comes in, ``left`` is no longer near to what comes next."""
    cdef double size = fabs(im)
    a[NEAR_IM][q] = decay * decay * a[NEAR_IM][q] + im * (im + 2.0 * a[RECENT_IM][q])
    a[NEAR_ABS][q] = decay * decay * a[NEAR_ABS][q] + size * (size + 2.0 * a[RECENT_ABS][q])
    a[RECENT_IM][q] = decay * (a[RECENT_IM][q] + im) - decay_near * left
    a[RECENT_ABS][q] = decay * (a[RECENT_ABS][q] + size) - decay_near * fabs(left)


cdef clones _synchrony_exponential(
    const double[:, :, :, ::1] ring, Py_ssize_t at, Py_ssize_t pending,
    const long long[::1] group_seed, const long long[::1] group_column,
    const long long[::1] near, const double[::1] decay_near, double decay, double[:, :, :, ::1] sums
) noexcept nogil:
    cdef double a[N_SUMS][LANES_]
    cdef Py_ssize_t b, g, k, n, q, row, left, x, y, rows = ring.shape[0]
    for b in range(sums.shape[0]):
        for g in range(sums.shape[1]):
            x = group_seed[g]
            y = group_column[g]
            for k in range(N_SUMS):
                for q in range(LANES_):
                    a[k][q] = sums[b, g, k, q]
            for n in range(pending):
                row = (at - pending + n + rows) % rows
                left = (row - near[b] + rows) % rows
                for q in range(LANES_):
                    _take_in(ring, row, b, x, y + q, q, decay, 1.0, a)
                    _take_in_near(_lagged(ring, row, b, x, y + q), _lagged(ring, left, b, x, y + q),
                                  q, decay, decay_near[b], a)
            for k in range(N_SUMS):
                for q in range(LANES_):
                    sums[b, g, k, q] = a[k][q]


def synchrony_exponential(
    const double[:, :, :, ::1] ring,        # IN     (rows, bands, FIELDS, columns); rows > near + pending
    Py_ssize_t at,                          # IN     row for the next sample
    Py_ssize_t pending,                     # IN     newest samples not yet in the sums
    const long long[::1] group_seed,        # IN     (groups,) column of the first channel
    const long long[::1] group_column,      # IN     (groups,) first of LANES columns of second channels
    const long long[::1] near,              # IN     (bands,) samples no further apart than this are near
    const double[::1] decay_near,           # IN     (bands,) decay ** (near + 1)
    double decay,                           # IN     weight of the past after one sample
    double[:, :, :, ::1] sums,              # STATE  (bands, groups, SUMS_PER_PAIR, LANES)
):
    """Take the pending samples into sums with exponentially decaying weights."""
    with nogil:
        _synchrony_exponential(ring, at, pending, group_seed, group_column, near, decay_near, decay, sums)


cdef clones _synchrony_box(
    const double[:, :, :, ::1] ring, Py_ssize_t at, Py_ssize_t pending, Py_ssize_t window, Py_ssize_t age,
    const long long[::1] group_seed, const long long[::1] group_column, const long long[::1] near,
    double[:, :, :, ::1] sums, double[:, :, :, ::1] fresh, double[:, :, :, :, ::1] ahead, double[:, :, ::1] peak
) noexcept nogil:
    cdef double a[N_SUMS][LANES_]
    cdef double f[N_SUMS][LANES_]
    cdef double highest[LANES_]
    cdef double next_[2][LANES_]
    cdef double fresh_next[2][LANES_]
    cdef double im, oldest, joins, leaves
    cdef Py_ssize_t b, g, k, n, q, row, left, out, new, old, x, y, rows = ring.shape[0]
    for b in range(sums.shape[0]):
        for g in range(sums.shape[1]):
            x = group_seed[g]
            y = group_column[g]
            for q in range(LANES_):
                for k in range(N_SUMS):
                    a[k][q] = sums[b, g, k, q]
                    f[k][q] = fresh[b, g, k, q]
                highest[q] = peak[b, g, q]
                for k in range(2):
                    next_[k][q] = ahead[0, b, g, k, q]
                    fresh_next[k][q] = ahead[1, b, g, k, q]
            for n in range(pending):
                row = (at - pending + n + rows) % rows
                left = (row - near[b] + rows) % rows
                out = (row - window + rows) % rows
                old = (out + 1) % rows
                new = (out + 1 + near[b]) % rows
                for q in range(LANES_):
                    im = _lagged(ring, row, b, x, y + q)
                    leaves = _lagged(ring, left, b, x, y + q)
                    _take_in(ring, row, b, x, y + q, q, 1.0, 1.0, a)
                    _take_in_near(im, leaves, q, 1.0, 1.0, a)
                    highest[q] = a[NEAR_ABS][q] if a[NEAR_ABS][q] > highest[q] else highest[q]
                    _take_in(ring, row, b, x, y + q, q, 1.0, 1.0, f)
                    # What left before the fresh sums began was never in them.
                    _take_in_near(im, leaves if age + n >= near[b] else 0.0, q, 1.0, 1.0, f)
                    if 0 < age + n and age + n <= near[b]:
                        fresh_next[0][q] += im
                        fresh_next[1][q] += fabs(im)
                    _take_in(ring, out, b, x, y + q, q, 1.0, -1.0, a)
                    oldest = _lagged(ring, out, b, x, y + q)
                    a[NEAR_IM][q] -= oldest * (oldest + 2.0 * next_[0][q])
                    a[NEAR_ABS][q] -= fabs(oldest) * (fabs(oldest) + 2.0 * next_[1][q])
                    joins = _lagged(ring, new, b, x, y + q)
                    leaves = _lagged(ring, old, b, x, y + q)
                    next_[0][q] += joins - leaves
                    next_[1][q] += fabs(joins) - fabs(leaves)
                if age + n + 1 == window:
                    # Sums that only ever grew replace those that also shrank: rounding cannot build up.
                    for q in range(LANES_):
                        for k in range(N_SUMS):
                            a[k][q] = f[k][q]
                            f[k][q] = 0.0
                        highest[q] = a[NEAR_ABS][q]
                        for k in range(2):
                            next_[k][q] = fresh_next[k][q]
                            fresh_next[k][q] = 0.0
            for q in range(LANES_):
                peak[b, g, q] = highest[q]
                for k in range(N_SUMS):
                    sums[b, g, k, q] = a[k][q]
                    fresh[b, g, k, q] = f[k][q]
                for k in range(2):
                    ahead[0, b, g, k, q] = next_[k][q]
                    ahead[1, b, g, k, q] = fresh_next[k][q]


def synchrony_box(
    const double[:, :, :, ::1] ring,        # IN     (rows, bands, FIELDS, columns); rows > window + pending
    Py_ssize_t at,                          # IN     row for the next sample
    Py_ssize_t pending,                     # IN     newest samples not yet in the sums; age + pending <= window
    Py_ssize_t window,                      # IN     samples in the window, more than any of near
    Py_ssize_t age,                         # IN     samples in the fresh sums
    const long long[::1] group_seed,        # IN     (groups,) column of the first channel
    const long long[::1] group_column,      # IN     (groups,) first of LANES columns of second channels
    const long long[::1] near,              # IN     (bands,) samples no further apart than this are near
    double[:, :, :, ::1] sums,              # STATE  (bands, groups, SUMS_PER_PAIR, LANES)
    double[:, :, :, ::1] fresh,             # STATE  the same, begun anew with every window
    double[:, :, :, :, ::1] ahead,          # STATE  (2, bands, groups, 2, LANES) v, |v| near after the oldest
    double[:, :, ::1] peak,                 # STATE  (bands, groups, LANES) highest NEAR_ABS since they began anew
):
    """Take the pending samples into the sums over a window and take out those that leave it."""
    with nogil:
        _synchrony_box(ring, at, pending, window, age, group_seed, group_column, near, sums, fresh, ahead, peak)


cdef inline double _ratio(double part, double whole) noexcept nogil:
    """part / whole, and 0 where both are: no lagged part at all is no lagged synchrony."""
    return part / whole if whole != 0.0 else 0.0


cdef inline double _correlation(
    double n, double xy, double x, double xx, double y, double yy
) noexcept nogil:
    """Correlation from sums; NaN where one of the two does not vary."""
    cdef double spread = (n * xx - x * x) * (n * yy - y * y)
    return (n * xy - x * y) / sqrt(spread if spread > 0.0 else NAN)


cdef inline void _measures(
    const double[:, :, :, ::1] sums, Py_ssize_t b, Py_ssize_t g, Py_ssize_t q, double peak, double least,
    double (*m)[LANES_]
) noexcept nogil:
    """Every measure of one pair."""
    cdef double weight = sums[b, g, WEIGHT, q]
    cdef double power = sums[b, g, POWER_X, q] * sums[b, g, POWER_Y, q]
    # 1 / geometric mean of the powers; NaN, and with it every measure, where there is not enough or no signal.
    cdef double scale = 1.0 / sqrt(power if weight >= least and power > 0.0 else NAN)
    cdef double nothing = 0.0 * scale
    cdef double cross_re = sums[b, g, CROSS_RE, q]
    cdef double cross_im = sums[b, g, CROSS_IM, q]
    cdef double unit_re = sums[b, g, UNIT_RE, q]
    cdef double unit_im = sums[b, g, UNIT_IM, q]
    cdef double size = sums[b, g, ABS_IM, q]
    cdef double rest = weight * weight - unit_re * unit_re
    cdef double far = size * size - sums[b, g, NEAR_ABS, q]
    # A sum of fourth powers that was high and fell holds the rounding of its height, some 1e-14 of it.
    cdef double known = 1e-9 * (peak if peak > sums[b, g, NEAR_ABS, q] else sums[b, g, NEAR_ABS, q])
    m[COHERENCE][q] = sqrt(cross_re * cross_re + cross_im * cross_im) * scale
    m[IMAGINARY][q] = cross_im * scale
    m[PLV][q] = sqrt(unit_re * unit_re + unit_im * unit_im) / weight + nothing
    m[CIPLV][q] = _ratio(fabs(unit_im), sqrt(rest if rest > 0.0 else 0.0)) + nothing
    m[WPLI][q] = _ratio(fabs(cross_im), size) + nothing
    m[WPLI2][q] = _ratio(cross_im * cross_im - sums[b, g, NEAR_IM, q], far if far >= known else NAN) + nothing
    # |x| against the part of |y| orthogonal to x, and the other way round. Σ|x|·orth = Σ|v|.
    m[AEC][q] = 0.5 * (
        _correlation(weight, size, sums[b, g, AMP_X, q], sums[b, g, POWER_X, q],
                     sums[b, g, ORTH_X, q], sums[b, g, ORTH_X2, q])
        + _correlation(weight, size, sums[b, g, AMP_Y, q], sums[b, g, POWER_Y, q],
                       sums[b, g, ORTH_Y, q], sums[b, g, ORTH_Y2, q])) + nothing


cdef clones _synchrony_read(
    const double[:, :, :, ::1] sums, const double[:, :, ::1] peak, const long long[:, ::1] pair_of,
    const double[:, :, ::1] least_weight, double[:, :, ::1] out, double[:, ::1] weight_out
) noexcept nogil:
    cdef double m[N_MEASURES][LANES_]
    cdef Py_ssize_t b, g, k, p, q
    for b in range(sums.shape[0]):
        for g in range(sums.shape[1]):
            for q in range(LANES_):
                _measures(sums, b, g, q, peak[b, g, q], least_weight[b, g, q], m)
            p = pair_of[g, 0]
            if pair_of[g, LANES_ - 1] == p + LANES_ - 1:
                for k in range(N_MEASURES):
                    for q in range(LANES_):
                        out[k, b, p + q] = m[k][q]
                for q in range(LANES_):
                    weight_out[b, p + q] = sums[b, g, WEIGHT, q]
                continue
            for q in range(LANES_):
                p = pair_of[g, q]
                if p >= 0:
                    weight_out[b, p] = sums[b, g, WEIGHT, q]
                    for k in range(N_MEASURES):
                        out[k, b, p] = m[k][q]


def synchrony_read(
    const double[:, :, :, ::1] sums,        # IN     (bands, groups, SUMS_PER_PAIR, LANES)
    const double[:, :, ::1] peak,           # IN     (bands, groups, LANES) of synchrony_box; 0 where none is kept
    const long long[:, ::1] pair_of,        # IN     (groups, LANES) place in the output, -1 for padding
    const double[:, :, ::1] least_weight,   # IN     (bands, groups, LANES) below it there is no value
    double[:, :, ::1] out,                  # OUT    (len(MEASURES), bands, pairs)
    double[:, ::1] weight_out,              # OUT    (bands, pairs) sum of the weights
):
    """Read every measure out of the sums; NaN where there is not enough."""
    with nogil:
        _synchrony_read(sums, peak, pair_of, least_weight, out, weight_out)
