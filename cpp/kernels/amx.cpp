// The kernels of parts of bfloat16, on the tiles of AMX; all others are those of avx512_bf16.
//
// Owns: the table of these functions, a constant: nothing runs at load time.
#include "forward.hpp"
#include "parts.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

template <int parts>
void forward_in_parts(const ForwardPass<float>& pass, Part part) {
  // Whoever is asked or waited for may run anything on this thread, a signal's handler that calls
  // networks too, and such a call gives up the tiles.
  Part with_tiles = part;
  with_tiles.team = &part;
  with_tiles.wait_all = [](const void* outer) {
    const Part& asked = *static_cast<const Part*>(outer);
    asked.wait_all(asked.team);
    configure_tiles();
  };
  with_tiles.stopped = [](const void* outer) {
    const Part& asked = *static_cast<const Part*>(outer);
    const bool stopped = asked.stopped(asked.team);
    configure_tiles();
    return stopped;
  };
  const Tiles tiles;
  forward_rounded<Parts<parts>>(pass, with_tiles);
}

template <int parts>
void split(const PackedLayer<float>& from, const PackedLayer<float>& to, Part part) {
  compress_layer(from, to, part,
                 [](const float* panel, Index rows, Index row_size, float* tiles, float*, Index) {
                   Parts<parts>::split_panel(panel, rows, row_size, tiles);
                 });
}

template <int parts>
constexpr RoundedKernels kernels_of =
    rounded_kernels<Parts<parts>, split<parts>, forward_in_parts<parts>>;

}  // namespace

extern const RoundedKernels parts[3];
const RoundedKernels parts[3]{kernels_of<1>, kernels_of<2>, kernels_of<3>};

}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native
