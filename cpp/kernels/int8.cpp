// The kernels of int8 by themselves, for an ISA that has an instruction for them and shares the
// rest with another.
//
// Owns: the table of these functions, a constant: nothing runs at load time.
#include "compress.hpp"
#include "forward.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {

extern const RoundedKernels int8;
const RoundedKernels int8 = rounded_kernels<Int8, compress_to_int8>;

}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native
