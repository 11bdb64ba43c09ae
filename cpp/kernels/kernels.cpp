// The one translation unit of the kernels, compiled once per ISA into an object library.
//
// Owns: the table of functions of this ISA, a constant: nothing runs at load time.
#include "backward.hpp"
#include "compress.hpp"
#include "forward.hpp"
#include "gradients.hpp"
#include "restore.hpp"
#include "roofline.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

template <class T>
constexpr Kernels<T> kernels{
    width<T>,     Plain<T>::max_rows, left_columns<T>, gate_columns<T>, panel_size<T>,
    pack<T>,      transpose<T>,       forward<T>,      restore<T>,      backward<T>,
    gradients<T>, sigmoid_array<T>,   tanh_array<T>,   multiply_add<T>, read<T>};

constexpr char name[] = LSTM_NATIVE_ISA_STRING;

}  // namespace

extern const KernelTable table;
const KernelTable table{name,
                        kernels<float>,
                        kernels<double>,
                        compress_to_bfloat16,
                        rounded_kernels<Int8, compress_to_int8>,
                        {},
                        {}};

}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native
