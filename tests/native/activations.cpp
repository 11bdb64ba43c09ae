// sigmoid and tanh on packets, against the C library's in the next wider type.
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>

#include "checks.hpp"
#include "dispatch.hpp"

namespace {

using namespace lstm_native;

constexpr double most_ulp = 4;

template <class T, class F, class G>
void check_function(const char* name, const F& function, const G& truth) {
  std::mt19937_64 random(1);
  std::vector<T> x;
  for (const double bound : {0.01, 1.0, 3.0, 20.0, 80.0})
    for (int i = 0; i < 20000; ++i)
      x.push_back(static_cast<T>(bound * (static_cast<double>(random() >> 11) * 0x1p-52 - 1)));
  std::vector<T> y(x.size());
  function(x.data(), y.data(), static_cast<Index>(x.size()));
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const long double want = truth(static_cast<long double>(x[i]));
    const long double ulp = std::ldexp(1.0L, std::ilogb(want) - std::numeric_limits<T>::digits + 1);
    const double error = static_cast<double>(std::abs(static_cast<long double>(y[i]) - want) / ulp);
    if (!(error <= worst)) worst = error;
  }
  std::printf("%s of %d bits: %.2f ULP\n", name, static_cast<int>(8 * sizeof(T)), worst);
  check(worst <= most_ulp, name);

  const T infinity = std::numeric_limits<T>::infinity();
  const T odd[] = {infinity, -infinity, std::numeric_limits<T>::quiet_NaN()};
  T got[3];
  function(odd, got, 3);
  check(got[0] == truth(infinity) && got[1] == truth(-infinity) && std::isnan(got[2]),
        "infinities and NaN");
}

template <class T>
void check_type() {
  check_function<T>("sigmoid", kernels<T>().sigmoid,
                    [](long double x) { return 1 / (1 + std::exp(-x)); });
  check_function<T>("tanh", kernels<T>().tanh, [](long double x) { return std::tanh(x); });
}

}  // namespace

void check_activations() {
  check_type<float>();
  check_type<double>();
}
