// The only header both sides of the ISA border see.
//
// Owns: the plain data a kernel is given, and the table of functions one ISA offers.
// Must not know: how work is planned, where memory comes from, Python.
//
// Everything here is data. A function in this header would be compiled once per ISA under one
// name, the linker would keep any one of them, and an old CPU could be handed AVX-512 code.
//
// Alphabet: L layers, D directions, T steps, N batch rows, I input features, H hidden units,
// P output features (proj_size, or H), F frames (the sum of all lengths). Gates: i, f, g, o.
#pragma once

#include <cstdint>

namespace lstm_native {

using Index = std::int64_t;

// Where the features of step t, sorted row r begin: base + step[t] + row[r].
template <class T>
struct Frames {
  T* base;
  const Index* step;  // [T] elements
  const Index* row;   // [N] elements
};

// Which rows are alive at which step. Rows are sorted by length, longest first.
struct Steps {
  Index steps;         // T
  Index batch;         // N
  const Index* rows;   // [T] live rows, never growing
  const Index* first;  // [T + 1] frames before step t; a frame of the tape is first[t] + r
  const Index* order;  // [N] the caller's row of sorted row r
  // [F] by frame of the tape: nonzero where this scan enters the frame with a state of zeros, be it
  // the row's first or not; null: nowhere.
  const std::uint8_t* anew;
};

// The share of one thread in one layer: a range of steps, a range of rows, and share `share` of
// `shares` of the outputs. Parts of one scan follow each other in the order of the scan. With one
// share nobody else writes what this thread reads meanwhile, and wait_all is not called.
struct Part {
  Index step_begin, step_end;
  Index row_begin, row_end;
  Index share, shares;
  const void* team;
  void (*wait_all)(const void* team);  // barrier over the shares
  bool (*stopped)(const void* team);   // whether to leave, the results being of no use any more
};

// How a packed weight is stored: as a T; or, where T is float, as a bfloat16 or as a byte and a
// scale that a row of the plain matrix has in common, a T of the panels holding the weights of two
// or four rows of k; or as the sum of bfloat16 parts, in tiles of 32 rows of k and 16 columns, of
// which the last of a panel's rows are filled up with zeros. All but plain and bfloat16 are
// multiplied with rows rounded alike.
enum class Storage { plain, bfloat16, bfloat16_pairs, int8, one_part, two_parts, three_parts };

// Rows of k that a scalar of the panels holds, but for weights in parts.
constexpr Index rows_in_one(Storage storage) {
  return storage == Storage::plain ? 1 : storage == Storage::int8 ? 4 : 2;
}

// The number of parts; 0 for the others.
constexpr Index parts_of(Storage storage) {
  return storage < Storage::one_part
             ? 0
             : 1 + static_cast<Index>(storage) - static_cast<Index>(Storage::one_part);
}
// What three parts hold to the last digit, beside zero, and what can be multiplied without a
// product or a sum of parts that is infinite where that of floats is not.
constexpr float least_in_parts = 0x1p-103f, most_in_parts = 0x1p50f;
constexpr Index tile_depth = 32;   // rows of k
constexpr Index tile_height = 16;  // rows of the panels, of two rows of k each; as many columns

// Weights of one layer and direction, in the order the tile reads them. With V the packet width,
// blocks = ceil(H / V):
template <class T>
struct PackedLayer {
  Index input_size;  // I of this layer
  Index hidden;      // H
  Index output;      // P
  bool projected;
  Storage storage;
  Index input_rows, output_rows, hidden_rows;  // of T that hold I, P and H rows
  T* gates;              // [blocks][input_rows + output_rows][4 gates][V], units past H are zero;
                         // in parts: tiles of 16 rows by depth, part and gate
  T* bias;               // [blocks][4 gates][V], bias_ih + bias_hh
  T* projection;         // panels of W_hr^T: hidden_rows rows, P columns; null without projection
  T* input_scales;       // int8: [blocks][4 gates][V], of W_ih, else null
  T* recurrent_scales;   // of W_hh
  T* projection_scales;  // [P filled up to whole packets], of W_hr
};

// The same weights transposed, for the backward pass. A panel is 4 V columns, row by row; the
// last panel of a matrix is only as many packets wide as it needs.
template <class T>
struct TransposedLayer {
  T* input;       // panels of W_ih: 4H rows, I columns
  T* recurrent;   // panels of W_hh: 4H rows, P columns
  T* projection;  // panels of W_hr: P rows, H columns; null without projection
};

// Weights of one layer and direction as torch lays them out, row-major.
template <class T>
struct PlainLayer {
  const T* weight_ih;  // [4H, I]
  const T* weight_hh;  // [4H, P]
  const T* bias_ih;    // [4H] or null
  const T* bias_hh;    // [4H] or null
  const T* weight_hr;  // [P, H] or null
};

template <class T>
struct ForwardPass {
  PackedLayer<T> weights;
  Steps steps;
  bool reverse;
  Frames<const T> x;   // [I]
  Frames<T> y;         // [P], this direction's half of the output frame
  T* h;                // [N, P] by the caller's row: h_0 in, h_n out
  T* c;                // [N, H] by the caller's row: c_0 in, c_n out
  Frames<T> c_frames;  // [H] c of each step out; base null: nobody asks
  T* cell_output;      // [N, H] by sorted row: o tanh(c) before the projection; null without
  T* gates;            // [F, 4H] activated gates out; null: not kept
  T* cells;            // [F, H] c out, or [.., H] where `kept` says; null: not kept
  const Index* kept;   // [T + 1] row of cells where c between steps t - 1 and t begins, -1: none
  T* ahead;            // scratch of this thread: the input part of coming steps; null: none ahead
  Index ahead_frames;  // frames that fit into `ahead`, each of [blocks][4][V]
  const T* zeros;      // [P], read where steps.anew says so
  std::int32_t* rounded;  // scratch of this thread for rounded rows: see RoundedKernels::row_size
};

// Activated gates and c once more, from the x and h that are still there: first what goes into the
// gates of a run of frames, then c over the steps of the part. A pass may do either alone.
template <class T>
struct RestorePass {
  PackedLayer<T> weights;
  Steps steps;
  bool reverse;
  Index first, frames;     // tape frames [first, first + frames)
  const T* const* x;       // [frames] pointers to [I]
  const T* const* h_prev;  // [frames] pointers to [P]
  const T* c_0;            // [N, H] by the caller's row
  T* gates;                // [.., 4H] out, for c in
  T* cells;                // [.., H] out; of the step before the scan's first in
  Index frame_begin;       // where the memory of gates and cells begins
  const T* zeros;          // [H], read where steps.anew says so
};

template <class T>
struct BackwardPass {
  TransposedLayer<T> weights;
  Index hidden, output;
  bool projected;
  Steps steps;
  bool reverse;
  T* gates;                    // [.., 4H] activated gates in, dz out
  T* cells;                    // [.., H] c in; o tanh(c) out when projected
  Index frame_begin;           // where the memory of gates, cells and dh_frames begins
  const T* c_0;                // [N, H] by the caller's row
  Frames<const T> dy;          // [P]; base null: zeros
  Frames<const T> d_c_frames;  // [H] of c of each step; base null: zeros
  T* dh;                       // [N, P] by the caller's row: d h_n in, d h_0 out
  T* dc;                       // [N, H] by the caller's row: d c_n in, d c_0 out
  T* dh_frames;                // [.., P] dh of every frame when projected, else [N, P] of the step
  T* d_cell_output;            // [N, H] by sorted row; null without projection
  const T* zeros;              // [4H], read where steps.anew says so
};

// Parameter and input gradients of a run of frames, summed in the order given. A thread owns share
// part.share of the rows of every weight gradient, and the frames of dx in its row range.
template <class T>
struct GradientPass {
  Index input_size, hidden, output;
  bool projected;
  Index frames;
  const T* const* dz;           // [frames] pointers to [4H]
  const T* const* x;            // ... to [I]
  const T* const* h_prev;       // ... to [P]
  T* const* dx;                 // ... to [I]
  bool add_dx;                  // dx is added to, not written
  const T* const* dh;           // ... to [P]; projected only
  const T* const* cell_output;  // ... to [H]; projected only
  const T* weight_ih;           // panels of TransposedLayer::input
  T* panels;                    // scratch of the team: x, h_prev and cell_output as panels
  T* left;                      // scratch of this thread: [frames, left_columns]
  bool add_d;                   // what follows is added to, not written
  T* d_weight_ih;               // [4H, I]
  T* d_weight_hh;               // [4H, P]
  T* d_bias_ih;                 // [4H] or null
  T* d_bias_hh;                 // [4H] or null
  T* d_weight_hr;               // [P, H] or null
};

template <class T>
struct Kernels {
  Index width;         // V, scalars in a packet
  Index max_rows;      // R, rows of the largest tile
  Index left_columns;  // see GradientPass::left
  // Elements of a frame of the packed gates: 4 H, with H filled up to whole packets.
  Index (*gate_columns)(Index hidden);
  // Elements of a matrix of `rows` x `columns` packed as panels.
  Index (*panel_size)(Index rows, Index columns);
  void (*pack)(const PlainLayer<T>&, const PackedLayer<T>&, Part);
  void (*transpose)(const PackedLayer<T>&, const TransposedLayer<T>&, Part);
  void (*forward)(const ForwardPass<T>&, Part);
  void (*restore)(const RestorePass<T>&, Part);
  void (*backward)(const BackwardPass<T>&, Part);
  void (*gradients)(const GradientPass<T>&, Part);
  // sigmoid and tanh over an array, for the accuracy tests.
  void (*sigmoid)(const T* x, T* y, Index count);
  void (*tanh)(const T* x, T* y, Index count);
  // The machine's limits, for the benchmark: see kernels/roofline.hpp.
  Index (*multiply_add)(Index iterations, T* sink);
  Index (*read)(const T* from, Index count, Index iterations, T* sink);
};

// Products of rounded weights and rounded rows.
struct RoundedKernels {
  Index max_rows;  // of the largest tile
  // Words of a rounded row of `count` features. A thread's scratch holds such rows of x, of its
  // rows or of ahead_frames, and after them, for each of its rows, the longer of h and the cell's
  // output, and for max_rows more: a tile may read past the last row.
  Index (*row_size)(Index count);
  // Plain packed weights into those of this storage.
  void (*compress)(const PackedLayer<float>&, const PackedLayer<float>&, Part);
  void (*forward)(const ForwardPass<float>&, Part);
};

struct KernelTable {
  const char* name;
  Kernels<float> f32;
  Kernels<double> f64;
  // Plain packed weights into bfloat16.
  void (*compress)(const PackedLayer<float>&, const PackedLayer<float>&, Part);
  // Null where no instruction multiplies them; parts: one, two, three.
  RoundedKernels int8, bfloat16_pairs, parts[3];
};

}  // namespace lstm_native
