/* posetape's C interface: load a trained refiner and refine arrays of poses.
 *
 *   posetape_refiner* refiner = posetape_refiner_load("refiner.safetensors");
 *   if (refiner == NULL) puts(posetape_last_error());
 *   posetape_refine(refiner, frames, pose_2d, noisy_3d, 1920, 1080, NULL, refined_3d);
 *   posetape_refiner_free(refiner);
 *
 * Of frames as they come, see posetape_stream_new().
 *
 * Functions may be called from several threads, also with one refiner. Results depend neither on
 * that nor on the number of threads at work. tools/examples/refine.py uses it from Python.
 */
#ifndef POSETAPE_H
#define POSETAPE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grows where something is added, and the name of the shared library changes where something that
 * was there no longer works. */
#define POSETAPE_API_VERSION 4
int posetape_api_version(void);     /* of the library that is loaded */
const char* posetape_version(void); /* of the program: "0.1.0" */

/* What the last call of this thread that failed had to say: one line, what, where and what to do.
 * Never NULL; valid until this thread's next failure. */
const char* posetape_last_error(void);

/* What the last call of this thread that succeeded doubted: a line for each doubt (since version
 * 2). Never NULL, empty where there was none; valid until this thread's next call. */
const char* posetape_last_warning(void);

/* Threads for the work of all calls together; by default all cores. 0 on success, else -1. */
int posetape_set_threads(int count);

typedef struct posetape_refiner posetape_refiner;

/* A checkpoint of `posetape train refiner`; NULL on failure. Free it when no call uses it. */
posetape_refiner* posetape_refiner_load(const char* path);
void posetape_refiner_free(posetape_refiner* refiner);

/* Frames of its windows; -1 where refiner is NULL. */
int posetape_refiner_frames(const posetape_refiner* refiner);

/* Zeros stand for the defaults; start from {0}. Stays as it is: posetape_refine2() has more. */
typedef struct posetape_refine_options {
  int steps;        /* K, denoising steps; 2 */
  int stride;       /* frames from window to window, overlaps are averaged smoothly; half of a
                     * window's frames, which leaves no seam. A window's frames: no overlap, in
                     * half the time */
  int flip_average; /* not 0: average with the result for the mirror image */
} posetape_refine_options;

/* Refines one clip, as `posetape refine` does. Joints are Human3.6M's 17 (data/README.md), arrays
 * row-major floats:
 *
 *   pose_2d     [frames][17][2]  pixels of an image of width x height
 *   noisy_3d    [frames][17][3]  the estimate, camera space, metres relative to joint 0
 *   refined_3d  [frames][17][3]  the result, joint 0 at zero; may be noisy_3d
 *
 * A joint that is NaN or infinite, or in pose_2d at 0, 0, for at most 25 frames (half a second at
 * 50 a second) is interpolated over time; longer gaps are refused. So are poses that make no sense,
 * as by the command line: millimetres, absolute poses, another joint order, axes or image size
 * (since version 2; before, they were refined). A joint 0 that is up to 0.5 m off the origin is
 * subtracted from every joint, and posetape_last_warning() says so.
 *
 * options may be NULL. 0 on success, else -1 with refined_3d untouched. */
int posetape_refine(const posetape_refiner* refiner, int64_t frames, const float* pose_2d,
                    const float* noisy_3d, int width, int height,
                    const posetape_refine_options* options, float* refined_3d);

/* Options that can grow. Start from {sizeof(posetape_refine2_options)}, the other members zero,
 * which stands for the defaults: a later library takes the options of a program that was built
 * before it. */
typedef struct posetape_refine2_options {
  size_t struct_size; /* sizeof(posetape_refine2_options) of the program */
  int steps;          /* as in posetape_refine_options */
  int stride;
  int flip_average;
  int force; /* not 0: refine poses that make no sense, too; posetape_last_warning() says why not */
  float fps; /* frames a second: the clip is resampled to the rate that the refiner was trained at,
              * and the result back. 0: taken for that rate, gaps for those of 50 a second */
  int raw; /* not 0: as the network gives them, without the filter over time and the bones of constant
            * length that refining ends with (since version 3; before, poses were raw) */
  /* How sure the detector was, [frames][17] from 0 (not seen) to 1, for refiners that were trained
   * with it (`train refiner --confidence`). NULL: 1, but 0 for joints that are missing. */
  const float* confidence;
  /* The lens: fx, fy, cx, cy in pixels, then OpenCV's k1, k2, p1, p2, k3; NULL: not known. With it,
   * the clip is seen as by a camera that stands level, as with `refine --intrinsics`. */
  const double* intrinsics;
  const double* up; /* with a lens: the direction up in camera space (x right, y down, z forward);
                     * NULL: 0, -1, 0 */
  /* Where not NULL, filled with how sure the refiner is (since version 4): a standard deviation of
   * each number of refined_3d, [frames][17][3], metres, 0 of joint 0. All NaN of a refiner that
   * doesn't know (`posetape train uncertainty`). */
  float* refined_std;
} posetape_refine2_options;

/* As posetape_refine(), since version 2. */
int posetape_refine2(const posetape_refiner* refiner, int64_t frames, const float* pose_2d,
                     const float* noisy_3d, int width, int height,
                     const posetape_refine2_options* options, float* refined_3d);

/* Frames as they come, each refined `delay` frames later (since version 3):
 *
 *   posetape_stream* stream = posetape_stream_new(refiner, 1920, 1080, 3, NULL);
 *   for (each frame) {
 *     posetape_stream_push(stream, pose_2d, noisy_3d, NULL);
 *     while (posetape_stream_pull(stream, refined_3d) == 1) use(refined_3d);
 *   }
 *   posetape_stream_finish(stream);
 *   while (posetape_stream_pull(stream, refined_3d) == 1) use(refined_3d);
 *   posetape_stream_free(stream);
 *
 * Results are those of `posetape refine --stream`, and of `refine --delay` on a file, to the bit.
 * Bones have the lengths that the network gives them: constant ones need the whole clip.
 * Several streams may be at work in several threads, also with one refiner; one stream is for one
 * thread at a time. */
typedef struct posetape_stream posetape_stream;

/* Start from {sizeof(posetape_stream_options)}, the other members zero, which stands for the
 * defaults. */
typedef struct posetape_stream_options {
  size_t struct_size;       /* sizeof(posetape_stream_options) of the program */
  int steps;                /* K, denoising steps; 2 */
  int flip_average;         /* not 0: average with the result for the mirror image */
  int raw;                  /* not 0: as the network gives them, without the filter over time */
  int force;                /* not 0: refine poses that make no sense, too */
  float fps;                /* frames a second: of another rate than the refiner was trained at they
                             * are resampled to it, and results back; a delay too short for that is
                             * refused. 0: taken for that rate */
  const double* intrinsics; /* the lens, as in posetape_refine2_options; may go after the call */
  const double* up;         /* likewise */
} posetape_stream_options;

/* A stream of poses in an image of width x height pixels, 0 or more frames behind. The refiner has
 * to live as long. options may be NULL. NULL on failure. */
posetape_stream* posetape_stream_new(const posetape_refiner* refiner, int width, int height,
                                     int delay, const posetape_stream_options* options);
void posetape_stream_free(posetape_stream* stream);

/* Gives the stream its next frame, and takes the time of refining it: pose_2d [17][2], noisy_3d
 * [17][3], confidence [17] or NULL, as in posetape_refine2(). Joint 0 is subtracted.
 *
 * A joint that is missing (NaN or infinite, or at 0, 0 in pose_2d; all of them where noisy_3d is 0
 * throughout) stays where it was last for half a second, and is NaN in the results after that until
 * it is back. Every joint is NaN until all have been there in one frame: at the start, and after
 * all have been missing for so long.
 *
 * 0 on success. -1 on failure: for a confidence outside of 0 to 1, which changes nothing; where a
 * result is not finite; and with the last of the first posetape_refiner_frames() frames where poses
 * make no sense, after which the stream has forgotten all frames. Doubts about those and the first
 * missing joint are in posetape_last_warning(). */
int posetape_stream_push(posetape_stream* stream, const float* pose_2d, const float* noisy_3d,
                         const float* confidence);

/* Takes the next result, [17][3], in the order of the frames: 1 where there is one, 0 where it
 * needs more frames, -1 on failure. There may be several after one frame; all wait to be taken. */
int posetape_stream_pull(posetape_stream* stream, float* refined_3d);

/* How sure the refiner is of the result that was pulled last (since version 4): a standard deviation
 * of each number, [17][3], metres, NaN where the result is. 1 where it knows, 0 where it doesn't, -1
 * on failure. */
int posetape_stream_std(const posetape_stream* stream, float* refined_std);

/* The end: the results of all frames are there to be pulled. Frames after it start anew. 0 on
 * success, else -1, as posetape_stream_push(), where fewer frames than that were pushed. */
int posetape_stream_finish(posetape_stream* stream);

#ifdef __cplusplus
}
#endif

#endif
