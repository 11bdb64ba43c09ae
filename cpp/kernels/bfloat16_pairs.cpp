// The kernels of bfloat16 pairs, for an ISA that has an instruction for them and shares the rest
// with another.
//
// Owns: the table of these functions, a constant: nothing runs at load time.
#include "compress.hpp"
#include "forward.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {

extern const RoundedKernels bfloat16_pairs;
const RoundedKernels bfloat16_pairs = rounded_kernels<Bfloat16Pairs, compress_to_bfloat16>;

}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native
