/* Attention of single tokens to keys and values that are held, for native.c, which includes it. */

/* Softmax of x[start..end], in place. */
static inline void softmax(float *x, whole start, whole end) {
    float top = -INFINITY, sum = 0.0f;
#pragma omp simd reduction(max : top)
    for (whole n = start; n < end; n++) top = x[n] > top ? x[n] : top;
#pragma omp simd reduction(+ : sum)
    for (whole n = start; n < end; n++) {
        x[n] = power(x[n] - top);
        sum += x[n];
    }
    float share_of = 1.0f / sum;
#pragma omp simd
    for (whole n = start; n < end; n++) x[n] *= share_of;
}

#define INLINE static inline __attribute__((always_inline))

/* The keys and values of one row and group, and which of them are seen. */
typedef struct {
    const real *keys, *values;
    whole start, end, capacity;
} Line;

#ifdef __has_builtin
#if __has_builtin(__builtin_shufflevector) && __has_builtin(__builtin_convertvector)
#define LANES 16
#endif
#endif

#ifdef LANES
/* Numbers side by side, as many as the widest registers hold; compilers make do with narrower ones. */
typedef float lanes __attribute__((vector_size(4 * LANES)));

INLINE lanes wide(const real *x) {
#ifdef BFLOAT16
    typedef uint16_t halves __attribute__((vector_size(2 * LANES)));
    typedef uint32_t bits __attribute__((vector_size(4 * LANES)));
    halves found;
    memcpy(&found, x, sizeof(found));
    return (lanes)(__builtin_convertvector(found, bits) << 16);
#else
    lanes found;
    memcpy(&found, x, sizeof(found));
    return found;
#endif
}

/* The sums of four vectors, at once: one after the other they take longer than the products. */
INLINE void sums_of(lanes a, lanes b, lanes c, lanes d, float *out) {
    typedef float four __attribute__((vector_size(16)));
#define PAIRS(X, Y, AT) \
    __builtin_shufflevector(X, Y, AT, 16 + AT, 1 + AT, 17 + AT, 4 + AT, 20 + AT, 5 + AT, 21 + AT, \
                            8 + AT, 24 + AT, 9 + AT, 25 + AT, 12 + AT, 28 + AT, 13 + AT, 29 + AT)
#define HALVES(X, Y, AT) \
    __builtin_shufflevector(X, Y, AT, 1 + AT, 16 + AT, 17 + AT, 4 + AT, 5 + AT, 20 + AT, 21 + AT, \
                            8 + AT, 9 + AT, 24 + AT, 25 + AT, 12 + AT, 13 + AT, 28 + AT, 29 + AT)
    lanes ab = PAIRS(a, b, 0) + PAIRS(a, b, 2), cd = PAIRS(c, d, 0) + PAIRS(c, d, 2);
    lanes all = HALVES(ab, cd, 0) + HALVES(ab, cd, 2);
#undef PAIRS
#undef HALVES
    four part[4];
    memcpy(part, &all, sizeof(part));
    four sum = (part[0] + part[1]) + (part[2] + part[3]);
    memcpy(out, &sum, sizeof(sum));
}

/* scores[h][n] = asked[h] key[n], four keys at a time; gives the first key that is left. */
INLINE whole look_up_four(const float *asked, Line line, float *scores, int heads, whole width) {
    whole n = line.start;
    for (; n + 4 <= line.end; n += 4) {
        const real *key = line.keys + n * width;
        lanes sum[4][4] = {0};
        for (whole j = 0; j < width; j += LANES) {
            lanes own[4];
            for (int k = 0; k < 4; k++) own[k] = wide(key + k * width + j);
            for (int h = 0; h < heads; h++) {
                lanes q;
                memcpy(&q, asked + h * width + j, sizeof(q));
                for (int k = 0; k < 4; k++) sum[h][k] += q * own[k];
            }
        }
        for (int h = 0; h < heads; h++)
            sums_of(sum[h][0], sum[h][1], sum[h][2], sum[h][3], scores + h * line.capacity + n);
    }
    return n;
}

/* sums[h] = the sum of p[h][n] value[n] over the keys. */
INLINE void gather_wide(const float *p, Line line, float *sums, int heads, whole width) {
    for (whole j = 0; j < width; j += 2 * LANES) {
        lanes sum[4][2] = {0};
        for (whole n = line.start; n < line.end; n++) {
            const real *value = line.values + n * width + j;
            lanes low = wide(value), high = wide(value + LANES);
            for (int h = 0; h < heads; h++) {
                float own = p[h * line.capacity + n];
                sum[h][0] += own * low;
                sum[h][1] += own * high;
            }
        }
        for (int h = 0; h < heads; h++) memcpy(sums + h * width + j, sum[h], sizeof(sum[h]));
    }
}
#endif

/* scores[h][n] = asked[h] key[n], for up to four queries. */
INLINE void look_up(const float *asked, Line line, float *scores, int heads, whole width) {
    whole n = line.start;
#ifdef LANES
    if (width % LANES == 0) n = look_up_four(asked, line, scores, heads, width);
#endif
    for (; n < line.end; n++) {
        const real *key = line.keys + n * width;
        for (int h = 0; h < heads; h++) {
            float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
            for (whole j = 0; j < width; j++) sum += asked[h * width + j] * get(key[j]);
            scores[h * line.capacity + n] = sum;
        }
    }
}

/* sums[h] = the sum of p[h][n] value[n] over the keys. */
INLINE void gather(const float *p, Line line, float *sums, int heads, whole width) {
#ifdef LANES
    if (width % (2 * LANES) == 0) {
        gather_wide(p, line, sums, heads, width);
        return;
    }
#endif
    memset(sums, 0, (size_t)(heads * width) * sizeof(float));
    for (whole n = line.start; n < line.end; n++) {
        const real *value = line.values + n * width;
        for (int h = 0; h < heads; h++) {
            float own = p[h * line.capacity + n], *sum = sums + h * width;
#pragma omp simd
            for (whole j = 0; j < width; j++) sum[j] += own * get(value[j]);
        }
    }
}

/* Attention of up to four queries of one row and group. */
INLINE void attend_to(const float *asked, Line line, float *scores, float *sums, int heads,
                      whole width) {
    look_up(asked, line, scores, heads, width);
    for (int h = 0; h < heads; h++) softmax(scores + h * line.capacity, line.start, line.end);
    gather(scores, line, sums, heads, width);
}

/* The same, with numbers that the compiler knows where they are usual. */
static void attend_group(const float *asked, Line line, float *scores, float *sums, whole share,
                         whole width) {
    for (whole h = 0; h < share; h += 4) {
        const float *a = asked + h * width;
        float *s = sums + h * width;
        int heads = share - h < 4 ? (int)(share - h) : 4;
#define WITH(HEADS, WIDTH) \
    if (heads == HEADS && width == WIDTH) attend_to(a, line, scores, s, HEADS, WIDTH); else
        WITH(1, 64) WITH(2, 64) WITH(3, 64) WITH(4, 64) WITH(1, 128) WITH(2, 128) WITH(3, 128)
        WITH(4, 128) attend_to(a, line, scores, s, heads, width);
#undef WITH
    }
}

/* Attention of tokens to the keys and values held of their rows, after their own are held too.
 *
 * Queries are [groups, tokens, share, width], new keys and values [groups, tokens, width], those held
 * [all rows, groups, capacity, width]; token i belongs to number place[i] of these and sees lengths[i]
 * of them, itself the last. With a window, only the last ones are seen.
 */
void attend(const real *query, const real *key, const real *value, real *keys, real *values,
            const int32_t *place, const int32_t *lengths, float scale, whole window, real *out,
            whole out_stride, whole rows, whole groups, whole share, whole width, whole capacity) {
#pragma omp parallel
    {
#pragma omp for
        for (whole i = 0; i < rows * groups; i++) {
            whole row = i / groups, group = i % groups, from = (group * rows + row) * width;
            whole to = (((whole)place[row] * groups + group) * capacity + lengths[row] - 1) * width;
            memcpy(keys + to, key + from, width * sizeof(real));
            memcpy(values + to, value + from, width * sizeof(real));
        }
        float *scores = malloc((size_t)(4 * capacity + 2 * share * width) * sizeof(float));
        float *asked = scores + 4 * capacity, *sums = asked + share * width;
#pragma omp for
        for (whole i = 0; i < rows * groups; i++) {
            whole row = i / groups, group = i % groups, end = lengths[row];
            whole at = ((whole)place[row] * groups + group) * capacity * width;
            whole start = window && end > window ? end - window : 0;
            Line line = {keys + at, values + at, start, end, capacity};
            const real *q = query + (group * rows + row) * share * width;
            for (whole j = 0; j < share * width; j++) asked[j] = get(q[j]) * scale;
            attend_group(asked, line, scores, sums, share, width);
            real *o = out + row * out_stride + group * share * width;
            for (whole j = 0; j < share * width; j++) o[j] = put(sums[j]);
        }
        free(scores);
    }
}
