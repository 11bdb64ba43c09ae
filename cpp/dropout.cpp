#include "dropout.hpp"

#include <algorithm>

#include "parallel.hpp"

namespace lstm_native {

Dropout::Dropout(double probability, Index boundaries, Index count, Generator* generator)
    : probability_(boundaries > 0 ? probability : 0), generator_(generator) {
  if (probability_ <= 0 || probability_ >= 1) return;
  for (Index b = 0; b < boundaries; ++b) keep_.emplace_back(count);
}

bool Dropout::draw() {
  constexpr Index piece = 1 << 22;  // some 10 ms
  Stoppable* const call = Stoppable::current();
  for (auto& keep : keep_)
    for (Index i = 0; i < keep.size(); i += piece) {
      if (call && call->ask()) return false;
      generator_->bernoulli(keep.data() + i, std::min(piece, keep.size() - i), 1 - probability_);
    }
  return true;
}

Index Dropout::nbytes() const {
  Index bytes = 0;
  for (const auto& keep : keep_) bytes += keep.nbytes();
  return bytes;
}

template <class T>
void Dropout::apply(Index boundary, const T* from, T* to, Index begin, Index end) const {
  if (probability_ >= 1) {
    // A product with zero, so that NaN and infinity come out as NaN, as in torch.
    for (Index i = begin; i < end; ++i) to[i] = from[i] * T(0);
    return;
  }
  const T scale = T(1) / static_cast<T>(1 - probability_);
  const std::uint8_t* keep = keep_[boundary].data();
  for (Index i = begin; i < end; ++i) to[i] = from[i] * (keep[i] ? scale : T(0));
}
template void Dropout::apply<float>(Index, const float*, float*, Index, Index) const;
template void Dropout::apply<double>(Index, const double*, double*, Index, Index) const;

}  // namespace lstm_native
