// Eight threads use the core at once, for ThreadSanitizer to watch: some share networks, some have
// one of their own and train it, one changes the number of threads, and some calls are given up.
// Every result must have the bits it has alone. The argument is for how many seconds; the exit code
// is 1 when any result differs. Build it with LSTM_NATIVE_THREADS=std.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "checks.hpp"
#include "dispatch.hpp"
#include "parallel.hpp"
#include "plan.hpp"
#include "stack.hpp"

namespace {

using namespace lstm_native;
using Values = std::vector<float>;

struct Sizes {
  Index T, N, I, H, L;
  bool bidirectional;
  Index proj, checkpoint;
};
constexpr Sizes sizes[] = {
    {12, 9, 20, 40, 2, true, 0, 0},
    {30, 16, 24, 48, 1, false, 16, 0},
    {40, 3, 16, 64, 3, false, 0, 0},
    {90, 8, 12, 24, 2, true, 0, 5},
};

// One network and its input, and what they give.
class Task {
 public:
  Task(const Sizes& s, unsigned seed, Storage storage = Storage::plain)
      : sizes_(s),
        config_{s.I, s.H, s.L, true, s.bidirectional, s.proj},
        parameters_(size(config_.parameters())),
        x_(size(s.T * s.N * s.I)) {
    std::mt19937 random(seed);
    for (Values* values : {&parameters_, &x_})
      for (float& v : *values) v = static_cast<float>(random() / 2147483648.0 - 1) * 0.3F;
    weights_ = std::make_shared<const Weights<float>>(config_, parameters_.data(), storage);
  }

  // y, h and c.
  Values infer() const {
    Results to(*this);
    Dropout none;
    lstm_native::forward(*weights_, to.sequences(), none);
    return to.joined();
  }

  // The same and the gradients. Packs the weights anew, as training does.
  Values train(Generator& generator) const {
    const auto weights = std::make_shared<const Weights<float>>(config_, parameters_.data());
    Results to(*this);
    Dropout dropout(0.25, config_.num_layers - 1, sizes_.T * sizes_.N * config_.frame_size(),
                    &generator);
    Tape<float> tape(weights, to.sequences(), std::move(dropout), sizes_.checkpoint);
    record(tape);
    Values dx(x_.size()), dh(to.h.size(), 1), dc(to.c.size(), 1), d(parameters_.size());
    const bool first = backward(tape, Gradients<float>{{to.y.data(), offsets(config_.frame_size())},
                                                       {},
                                                       dx.data(),
                                                       offsets(sizes_.I),
                                                       dh.data(),
                                                       dc.data(),
                                                       d.data(),
                                                       false});
    if (!first) std::abort();
    Values all = to.joined();
    for (const Values* part : {&dx, &dh, &dc, &d})
      all.insert(all.end(), part->begin(), part->end());
    return all;
  }

 private:
  static std::size_t size(Index count) { return static_cast<std::size_t>(count); }
  Schedule schedule() const { return Schedule::dense(sizes_.T, sizes_.N); }
  Offsets offsets(Index features) const {
    return Offsets::strided(schedule(), sizes_.N * features, features);
  }

  struct Results {
    explicit Results(const Task& of)
        : task(of),
          y(size(of.sizes_.T * of.sizes_.N * of.config_.frame_size())),
          h(states() * size(of.config_.output_size())),
          c(states() * size(of.config_.hidden_size)) {}
    std::size_t states() const {
      return size(task.config_.num_layers * task.config_.directions() * task.sizes_.N);
    }
    Sequences<float> sequences() {
      return {task.schedule(),
              task.offsets(task.sizes_.I),
              task.offsets(task.config_.frame_size()),
              task.x_.data(),
              y.data(),
              h.data(),
              c.data()};
    }
    Values joined() const {
      Values all = y;
      for (const Values* part : {&h, &c}) all.insert(all.end(), part->begin(), part->end());
      return all;
    }
    const Task& task;
    Values y, h, c;
  };

  const Sizes sizes_;
  const Config config_;
  Values parameters_, x_;
  std::shared_ptr<const Weights<float>> weights_;
};

std::atomic<bool> over{false};
std::atomic<long> calls{0}, wrong{0}, given_up{0};

void expect(const Values& got, const Values& expected) {
  ++calls;
  if (!same_bits(got, expected)) ++wrong;
}

// Networks that several threads call, each with weights of another storage.
class Shared {
 public:
  Shared() {
    for (const Storage storage : {Storage::plain, Storage::bfloat16, Storage::int8})
      tasks_.emplace_back(sizes[0], 1, storage);
    for (const Storage storage : {Storage::bfloat16_pairs, Storage::one_part, Storage::two_parts})
      if (multiplies(storage)) tasks_.emplace_back(sizes[0], 1, storage);
    for (const Task& task : tasks_) expected_.push_back(task.infer());
  }
  void use() const {
    for (std::size_t i = 0; !over; i = (i + 1) % tasks_.size())
      expect(tasks_[i].infer(), expected_[i]);
  }

 private:
  std::vector<Task> tasks_;
  std::vector<Values> expected_;
};

void train(const Sizes& s, unsigned seed) {
  const Task task(s, seed);
  Generator generator(seed);
  const Values expected = task.train(generator);
  while (!over) {
    generator.manual_seed(seed);
    expect(task.train(generator), expected);
  }
}

// Calls that are told to stop the first time they ask.
void give_up() {
  const Task task({4000, 8, 12, 24, 2, true, 0, 50}, 7);
  const Task bytes({4000, 8, 12, 24, 2, true, 16, 0}, 7, Storage::int8);
  while (!over) {
    const Stoppable call([](void*) { return true; }, nullptr);
    Generator generator(7);
    task.train(generator);
    bytes.infer();
    if (call.stopped()) ++given_up;
  }
}

void change_threads() {
  for (int count = 1; !over; count = count % 4 + 1) {
    set_num_threads(count);
    force_dealing(static_cast<Dealing>(count % 3 == 0 ? static_cast<int>(Dealing::units)
                                                      : static_cast<int>(Dealing::any)));
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
}

}  // namespace

int main(int argc, char** argv) try {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 10;
  choose_table();
  ignore_crowding(true);
  const Shared shared;
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) threads.emplace_back([&] { shared.use(); });
  for (unsigned i = 0; i < 4; ++i) threads.emplace_back([i] { train(sizes[i], i + 1); });
  threads.emplace_back(give_up);
  threads.emplace_back(change_threads);
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  over = true;
  for (std::thread& thread : threads) thread.join();
  std::printf("%s: %ld calls in %.0f s, %ld wrong, %ld given up\n", active_table().name,
              calls.load(), seconds, wrong.load(), given_up.load());
  return wrong > 0 || given_up == 0;
} catch (const std::exception& error) {
  std::printf("%s\n", error.what());
  return 1;
}
