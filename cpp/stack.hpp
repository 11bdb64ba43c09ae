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

// forward() over the same sequences again and again, x and y elsewhere each time: planned once, its
// memory had once. One run at a time; the threads it may use are those of when it was made.
template <class T>
class RepeatedForward {
 public:
  // Without x and y.
  RepeatedForward(std::shared_ptr<const Weights<T>> weights, Sequences<T> sequences);
  ~RepeatedForward();
  void run(const T* x, T* y);

 private:
  struct Prepared;
  std::unique_ptr<Prepared> prepared_;
};

// The same as forward(), to the bit, with a tape of it. The tape was made from the same sequences.
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
  T* d_parameters;  // flat
  bool add;         // d_parameters is added to, not written
};

// Spends the tape. False, and nothing has changed, when somebody else has already spent it.
template <class T>
bool backward(Tape<T>& tape, const Gradients<T>& gradients);

}  // namespace lstm_native
