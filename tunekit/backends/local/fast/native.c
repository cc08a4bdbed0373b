/* The passes over a step's numbers that are no matrix products, each fused into one.
 *
 * Compiled for the machine at first use (native.py), once per precision: with BFLOAT16 defined a
 * `real` is bfloat16, else float. Arithmetic is float throughout. Rows go to threads of OpenMP, whose
 * run time is the one that torch has loaded. A `stride` counts numbers from one row to the next.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int64_t whole;

#ifdef BFLOAT16
typedef uint16_t real;

static inline float get(real x) {
    union { uint32_t bits; float value; } u = {(uint32_t)x << 16};
    return u.value;
}

/* Round to nearest, ties to even. */
static inline real put(float x) {
    union { float value; uint32_t bits; } u = {x};
    return (real)((u.bits + 0x7fffu + ((u.bits >> 16) & 1u)) >> 16);
}
#else
typedef float real;

static inline float get(real x) { return x; }
static inline real put(float x) { return x; }
#endif

/* e^x = 2^n 2^r: n whole, 2^r for |r| <= 1/2 by the polynomial with the least relative error, which
 * is 3e-6 in bfloat16, where numbers have 8 bits, and 8e-8 in float. */
static inline float power(float x) {
    float t = x * 1.44269504f;
    t = t < -126.0f ? -126.0f : t;
    t = t > 127.0f ? 127.0f : t;
    float n = rintf(t), r = t - n;
#ifdef BFLOAT16
    float p = fmaf(9.57010002e-3f, r, 5.59178602e-2f);
    p = fmaf(p, r, 2.40247449e-1f);
    p = fmaf(p, r, 6.93121815e-1f);
#else
    float p = fmaf(1.32764701e-3f, r, 9.67554132e-3f);
    p = fmaf(p, r, 5.55071328e-2f);
    p = fmaf(p, r, 2.40221197e-1f);
    p = fmaf(p, r, 6.93146967e-1f);
#endif
    union { float value; uint32_t bits; } u = {fmaf(p, r, 1.0f)};
    u.bits += (uint32_t)(int32_t)n << 23;
    return u.value;
}

static inline float sigmoid(float x) { return 1.0f / (1.0f + power(-x)); }

/* y = norm(x + delta) x weight; `sum` gets x + delta, `scale` the reciprocal root mean square. */
void norm_forward(const real *x, whole x_stride, const real *delta, whole delta_stride, real *sum,
                  const float *weight, float eps, real *y, whole y_stride, float *scale,
                  whole rows, whole columns) {
#pragma omp parallel for
    for (whole i = 0; i < rows; i++) {
        const real *in = x + i * x_stride;
        real *out = y + i * y_stride;
        float squares = 0.0f;
        if (delta) {
            const real *add = delta + i * delta_stride;
            real *total = sum + i * columns;
#pragma omp simd
            for (whole j = 0; j < columns; j++) total[j] = put(get(in[j]) + get(add[j]));
            in = total;
        }
#pragma omp simd reduction(+ : squares)
        for (whole j = 0; j < columns; j++) squares += get(in[j]) * get(in[j]);
        float r = 1.0f / sqrtf(squares / (float)columns + eps);
        scale[i] = r;
#pragma omp simd
        for (whole j = 0; j < columns; j++) out[j] = put(get(in[j]) * r * weight[j]);
    }
}

/* dx = rest + the gradient of norm_forward by its input; `rest` may be NULL, and may be dx. */
void norm_backward(const real *dy, whole dy_stride, const real *x, whole x_stride,
                   const float *weight, const float *scale, const real *rest, whole rest_stride,
                   real *dx, whole dx_stride, whole rows, whole columns) {
#pragma omp parallel for
    for (whole i = 0; i < rows; i++) {
        const real *d = dy + i * dy_stride, *in = x + i * x_stride;
        real *out = dx + i * dx_stride;
        float r = scale[i], along = 0.0f;
#pragma omp simd reduction(+ : along)
        for (whole j = 0; j < columns; j++) along += get(d[j]) * weight[j] * get(in[j]);
        float back = along * r * r * r / (float)columns;
        if (rest) {
            const real *more = rest + i * rest_stride;
#pragma omp simd
            for (whole j = 0; j < columns; j++)
                out[j] = put(get(more[j]) + r * get(d[j]) * weight[j] - back * get(in[j]));
        } else {
#pragma omp simd
            for (whole j = 0; j < columns; j++)
                out[j] = put(r * get(d[j]) * weight[j] - back * get(in[j]));
        }
    }
}

/* GELU by tanh, with u = sqrt(2/pi) (x + 0.044715 x^3): x sigmoid(2u). */
static inline float gelu_gate(float x) { return sigmoid(1.59576912f * (x + 0.044715f * x * x * x)); }

/* out = f(gate) x up; a row holds gate, then up. `gelu` chooses GELU by tanh over SiLU. */
void gated_forward(const real *both, whole both_stride, real *out, whole out_stride, whole rows,
                   whole columns, int gelu) {
#pragma omp parallel for
    for (whole i = 0; i < rows; i++) {
        const real *gate = both + i * both_stride, *up = gate + columns;
        real *o = out + i * out_stride;
        if (gelu) {
#pragma omp simd
            for (whole j = 0; j < columns; j++) {
                float x = get(gate[j]);
                o[j] = put(x * gelu_gate(x) * get(up[j]));
            }
        } else {
#pragma omp simd
            for (whole j = 0; j < columns; j++) {
                float x = get(gate[j]);
                o[j] = put(x * sigmoid(x) * get(up[j]));
            }
        }
    }
}

/* In place: gate and up become their gradients, d becomes the forward's output. */
void gated_backward(real *both, whole both_stride, real *d, whole d_stride, whole rows,
                    whole columns, int gelu) {
#pragma omp parallel for
    for (whole i = 0; i < rows; i++) {
        real *gate = both + i * both_stride, *up = gate + columns, *o = d + i * d_stride;
        if (gelu) {
#pragma omp simd
            for (whole j = 0; j < columns; j++) {
                float x = get(gate[j]), u = get(up[j]), g = get(o[j]);
                float s = gelu_gate(x), slope = 1.59576912f * (1.0f + 0.134145f * x * x);
                gate[j] = put(g * u * (s + x * s * (1.0f - s) * slope));
                up[j] = put(g * x * s);
                o[j] = put(x * s * u);
            }
        } else {
#pragma omp simd
            for (whole j = 0; j < columns; j++) {
                float x = get(gate[j]), u = get(up[j]), g = get(o[j]);
                float s = sigmoid(x);
                gate[j] = put(g * u * s * (1.0f + x * (1.0f - s)));
                up[j] = put(g * x * s);
                o[j] = put(x * s * u);
            }
        }
    }
}

/* Where a head's numbers lie: queries are [groups, tokens, share, width], keys [groups, tokens, width]. */
typedef struct {
    whole tokens, groups, share, width;
} Heads;

static inline float head_scale(const real *x, whole width, float eps) {
    float squares = 0.0f;
#pragma omp simd reduction(+ : squares)
    for (whole j = 0; j < width; j++) squares += get(x[j]) * get(x[j]);
    return 1.0f / sqrtf(squares / (float)width + eps);
}

/* Turn one head by its position's angles, after an optional norm; cosine may be NULL: copy. */
static inline void turn(const real *x, real *y, const float *weight, float eps, const float *cosine,
                        const float *sine, whole width) {
    whole half = width / 2;
    float r = weight ? head_scale(x, width, eps) : 1.0f;
    if (!cosine) {
#pragma omp simd
        for (whole j = 0; j < width; j++) y[j] = put(get(x[j]) * (weight ? r * weight[j] : 1.0f));
        return;
    }
#pragma omp simd
    for (whole j = 0; j < half; j++) {
        float a = get(x[j]), b = get(x[j + half]);
        if (weight) {
            a *= r * weight[j];
            b *= r * weight[j + half];
        }
        y[j] = put(a * cosine[j] - b * sine[j]);
        y[j + half] = put(b * cosine[j] + a * sine[j]);
    }
}

/* The gradient of `turn`: from dy to dx; x is the input, needed where there is a norm. */
static inline void turn_back(const real *dy, const real *x, real *dx, const float *weight, float eps,
                             const float *cosine, const float *sine, whole width, float *room) {
    whole half = width / 2;
    if (cosine) {
#pragma omp simd
        for (whole j = 0; j < half; j++) {
            float a = get(dy[j]), b = get(dy[j + half]);
            room[j] = a * cosine[j] + b * sine[j];
            room[j + half] = b * cosine[j] - a * sine[j];
        }
    } else {
#pragma omp simd
        for (whole j = 0; j < width; j++) room[j] = get(dy[j]);
    }
    if (!weight) {
#pragma omp simd
        for (whole j = 0; j < width; j++) dx[j] = put(room[j]);
        return;
    }
    float r = head_scale(x, width, eps), along = 0.0f;
#pragma omp simd reduction(+ : along)
    for (whole j = 0; j < width; j++) along += room[j] * weight[j] * get(x[j]);
    float back = along * r * r * r / (float)width;
#pragma omp simd
    for (whole j = 0; j < width; j++) dx[j] = put(r * room[j] * weight[j] - back * get(x[j]));
}

/* Take queries, keys and values out of their joint product, turned and sorted by head. */
void split_heads(const real *joint, whole stride, const float *cosine, const float *sine,
                 const float *query_weight, const float *key_weight, float eps, real *query,
                 real *key, real *value, whole tokens, whole groups, whole share, whole width) {
    whole queries = groups * share;
#pragma omp parallel for
    for (whole t = 0; t < tokens; t++) {
        const real *row = joint + t * stride;
        const float *c = cosine ? cosine + t * (width / 2) : NULL;
        const float *s = sine ? sine + t * (width / 2) : NULL;
        for (whole h = 0; h < queries; h++) {
            whole place = ((h / share) * tokens + t) * share + h % share;
            turn(row + h * width, query + place * width, query_weight, eps, c, s, width);
        }
        for (whole h = 0; h < groups; h++) {
            whole place = (h * tokens + t) * width;
            turn(row + (queries + h) * width, key + place, key_weight, eps, c, s, width);
            memcpy(value + place, row + (queries + groups + h) * width, width * sizeof(real));
        }
    }
}

/* The gradient of split_heads, written over the joint product. */
void join_heads(real *joint, whole stride, const float *cosine, const float *sine,
                const float *query_weight, const float *key_weight, float eps, const real *query,
                const real *key, const real *value, whole tokens, whole groups, whole share,
                whole width) {
    whole queries = groups * share;
#pragma omp parallel
    {
        float *room = malloc((size_t)width * sizeof(float));
#pragma omp for
        for (whole t = 0; t < tokens; t++) {
            real *row = joint + t * stride;
            const float *c = cosine ? cosine + t * (width / 2) : NULL;
            const float *s = sine ? sine + t * (width / 2) : NULL;
            for (whole h = 0; h < queries; h++) {
                whole place = ((h / share) * tokens + t) * share + h % share;
                real *x = row + h * width;
                turn_back(query + place * width, x, x, query_weight, eps, c, s, width, room);
            }
            for (whole h = 0; h < groups; h++) {
                whole place = (h * tokens + t) * width;
                real *x = row + (queries + h) * width;
                turn_back(key + place, x, x, key_weight, eps, c, s, width, room);
                memcpy(row + (queries + groups + h) * width, value + place, width * sizeof(real));
            }
        }
        free(room);
    }
}

/* Softmax of scale x scores over the keys that a query sees, in place; 0 for the others.
 *
 * Query q (of `queries`, each with `share` rows) sees keys 0..beginning[q] and first[q]..last[q],
 * ends excluded, beginning <= first < last. `total` gets the logarithm of the sum.
 */
void softmax_forward(real *scores, const int32_t *beginning, const int32_t *first,
                     const int32_t *last, float scale, float *total, whole groups, whole queries,
                     whole share, whole keys) {
    whole rows = groups * queries * share;
#pragma omp parallel
    {
        float *room = malloc((size_t)keys * sizeof(float));
#pragma omp for
        for (whole i = 0; i < rows; i++) {
            whole q = (i / share) % queries;
            whole start[2] = {0, first[q]}, end[2] = {beginning[q], last[q]};
            real *x = scores + i * keys;
            float top = -INFINITY, sum = 0.0f;
            for (int part = 0; part < 2; part++) {
#pragma omp simd reduction(max : top)
                for (whole j = start[part]; j < end[part]; j++) {
                    float v = get(x[j]) * scale;
                    top = v > top ? v : top;
                }
            }
            for (int part = 0; part < 2; part++) {
#pragma omp simd reduction(+ : sum)
                for (whole j = start[part]; j < end[part]; j++) {
                    room[j] = power(get(x[j]) * scale - top);
                    sum += room[j];
                }
            }
            total[i] = top + logf(sum);
            float share_of = 1.0f / sum;
            memset(x + end[0], 0, (size_t)(start[1] - end[0]) * sizeof(real));
            memset(x + end[1], 0, (size_t)(keys - end[1]) * sizeof(real));
            for (int part = 0; part < 2; part++) {
#pragma omp simd
                for (whole j = start[part]; j < end[part]; j++) x[j] = put(room[j] * share_of);
            }
        }
        free(room);
    }
}

/* In place: scores become the probabilities again, d the gradient of the scores. */
void softmax_backward(real *scores, real *d, const int32_t *beginning, const int32_t *first,
                      const int32_t *last, float scale, const float *total, whole groups,
                      whole queries, whole share, whole keys) {
    whole rows = groups * queries * share;
#pragma omp parallel
    {
        float *room = malloc((size_t)keys * sizeof(float));
#pragma omp for
        for (whole i = 0; i < rows; i++) {
            whole q = (i / share) % queries;
            whole start[2] = {0, first[q]}, end[2] = {beginning[q], last[q]};
            real *x = scores + i * keys, *g = d + i * keys;
            float along = 0.0f, log_sum = total[i];
            for (int part = 0; part < 2; part++) {
#pragma omp simd reduction(+ : along)
                for (whole j = start[part]; j < end[part]; j++) {
                    float p = power(get(x[j]) * scale - log_sum);
                    room[j] = p;
                    x[j] = put(p);
                    along += p * get(g[j]);
                }
            }
            for (whole part = 0; part < 2; part++) {
                whole from = part ? end[1] : end[0], to = part ? keys : start[1];
                memset(x + from, 0, (size_t)(to - from) * sizeof(real));
                memset(g + from, 0, (size_t)(to - from) * sizeof(real));
            }
            for (int part = 0; part < 2; part++) {
#pragma omp simd
                for (whole j = start[part]; j < end[part]; j++)
                    g[j] = put(room[j] * (get(g[j]) - along) * scale);
            }
        }
        free(room);
    }
}

#include "attend.h"

/* What a row of logits says of its target; with `keep`, logits become d log p(target) / d logits.
 *
 * `found` is [5, rows]: log p(target), entropy, log of the sum of p^2, mean logit, whether no other
 * word is likelier (1 or 0; of equals the first counts).
 */
void score(real *logits, const int64_t *targets, float *found, whole rows, whole words, int keep) {
#pragma omp parallel
    {
        float *room = malloc((size_t)words * sizeof(float));
#pragma omp for
        for (whole i = 0; i < rows; i++) {
            real *x = logits + i * words;
            whole target = targets[i];
            float before = -INFINITY, top = -INFINITY, mean = 0.0f;
#pragma omp simd reduction(max : before) reduction(+ : mean)
            for (whole j = 0; j < target; j++) {
                float v = get(x[j]);
                before = v > before ? v : before;
                mean += v;
            }
#pragma omp simd reduction(max : top) reduction(+ : mean)
            for (whole j = target; j < words; j++) {
                float v = get(x[j]);
                top = v > top ? v : top;
                mean += v;
            }
            top = before > top ? before : top;
            float sum = 0.0f, weighted = 0.0f, squares = 0.0f, own = get(x[target]);
#pragma omp simd reduction(+ : sum, weighted, squares)
            for (whole j = 0; j < words; j++) {
                float v = get(x[j]) - top, e = power(v);
                room[j] = e;
                sum += e;
                weighted += e * v;
                squares += e * e;
            }
            float log_sum = logf(sum);
            found[i] = own - top - log_sum;
            found[rows + i] = log_sum - weighted / sum;
            found[2 * rows + i] = logf(squares) - 2.0f * log_sum;
            found[3 * rows + i] = mean / (float)words;
            found[4 * rows + i] = own == top && before < own;
            if (!keep) continue;
            float share_of = -1.0f / sum;
#pragma omp simd
            for (whole j = 0; j < words; j++) x[j] = put(room[j] * share_of);
            x[target] = put(1.0f + room[target] * share_of);
        }
        free(room);
    }
}

/* Unpack 4-bit codes, two to a byte, the first in the high half; each block has a scale. */
void unpack(const uint8_t *packed, const float *codes, const float *scales, real *out,
            whole out_stride, whole rows, whole columns, whole block) {
#pragma omp parallel for
    for (whole i = 0; i < rows; i++) {
        const uint8_t *in = packed + i * columns / 2;
        real *o = out + i * out_stride;
        for (whole j = 0; j < columns;) {
            whole at = i * columns + j, end = j + block - at % block;
            end = end < columns ? end : columns;
            float scale = scales[at / block];
            float table[16];
            for (int c = 0; c < 16; c++) table[c] = codes[c] * scale;
            for (; j < end; j += 2) {
                o[j] = put(table[in[j / 2] >> 4]);
                o[j + 1] = put(table[in[j / 2] & 15]);
            }
        }
    }
}
