// Layers on top of each other.
//
// Owns: the walk of a call over layers and directions, the memory between layers, and who of the
// team does what. Must not know: NumPy, the arithmetic of a cell.
#pragma once

#include "tape.hpp"

namespace lstm_native {

// y, h and c are written; h and c hold the initial state when the call begins.
template <class T>
void forward(const Weights<T>& weights, const Sequences<T>& sequences, Dropout& dropout);

// The same, to the bit, with a tape of it. The tape was made from the same sequences.
template <class T>
void record(Tape<T>& tape);

// The gradients of one recorded call.
template <class T>
struct Gradients {
  LayerFrames<const T> dy;       // [D * P]
  LayerFrames<const T> d_cells;  // [D * H]
  T* dx;                         // laid out by dx_offsets, written
  Offsets dx_offsets;
  T* dh;            // [L * D, N, P] d h_n in, d h_0 out
  T* dc;            // [L * D, N, H] d c_n in, d c_0 out
  T* d_parameters;  // flat, added to
};

// Spends the tape. False, and nothing has changed, when somebody else has already spent it.
template <class T>
bool backward(Tape<T>& tape, const Gradients<T>& gradients);

}  // namespace lstm_native
