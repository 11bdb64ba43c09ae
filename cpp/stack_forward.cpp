// Forward through the stack: inner outputs stay on the tape, else alternate between two buffers;
// when threads take layers of their own, each has its buffer.
#include <type_traits>

#include "dispatch.hpp"
#include "stack.hpp"
#include "stack_team.hpp"

namespace lstm_native {
namespace {

template <class T>
class ForwardStack {
 public:
  ForwardStack(const Weights<T>& weights, const Sequences<T>& sequences, Dropout& dropout,
               Tape<T>* tape)
      : weights_(weights),
        config_(weights.config()),
        sequences_(sequences),
        schedule_(sequences.schedule),
        dropout_(dropout),
        tape_(tape),
        plan_(
            plan_stack<T>(config_, schedule_, Pass::forward, dropout.active(), weights.storage())),
        inner_offsets_(Offsets::packed(schedule_, config_.frame_size())),
        rounding_(rounded_kernels(weights.storage())) {
    const Index inner = checked_product(schedule_.frames(), config_.frame_size());
    if (!tape_ && (sequences_.y_stride == 0 || dropout_.active()))
      for (Index l = 0; l + 1 < config_.num_layers && (l < 2 || plan_.chunk); ++l)
        inner_.emplace_back(inner);
    if (config_.projected())
      cell_output_ =
          Buffer<T>(checked_product(plan_.chunk ? config_.num_layers : config_.directions(),
                                    checked_product(schedule_.batch(), config_.hidden_size)));
    if (schedule_.view().anew) zeros_ = zero_buffer<T>(config_.output_size());
    // The most any layer, split and thread can ask for.
    Index ahead = 0;
    for (Index l = 0; l < config_.num_layers; ++l)
      for (Index rows = 1; rows <= schedule_.batch(); ++rows) {
        const Index frames = plan_ahead<T>(config_, l, schedule_, rows, weights.storage());
        if (frames == 0) break;
        ahead = std::max(ahead, frames);
      }
    ahead_size_ = ahead * kernels<T>().gate_columns(config_.hidden_size);
    ahead_ = Buffer<T>(checked_product(plan_.threads, ahead_size_));
    if (rounding_) {
      rounded_size_ = rounded_rows(std::max(ahead, schedule_.batch()));
      rounded_ = Buffer<std::int32_t>(checked_product(plan_.threads, rounded_size_));
    }
  }

  void run() {
    if (schedule_.frames() == 0 || !dropout_.draw()) return;
    run_team(plan_.threads, [this](const Team& team) {
      if (plan_.chunk)
        run_waves(team);
      else
        for (Index l = 0; l < config_.num_layers && !team.stopped(); ++l) run_layer(l, team);
    });
  }

 private:
  // The most that a thread needs of ForwardPass::rounded.
  Index rounded_rows(Index x_rows) const {
    const auto size = rounding_->row_size;
    const Index input = std::max(config_.input_size, config_.layer_input(config_.num_layers - 1));
    const Index x = size(input), states = size(config_.hidden_size);
    return checked_sum(checked_product(x_rows, x),
                       checked_sum(checked_product(schedule_.batch(), states),
                                   checked_product(rounding_->max_rows, std::max(x, states))));
  }

  // Memory of our own for an inner layer's output, [F, D * P], and for what dropout makes of it.
  T* inner(Index layer) {
    return tape_ ? tape_->output(layer) : inner_[layer % inner_.size()].data();
  }
  T* dropped(Index layer) {
    return tape_ ? tape_->dropped(layer) : inner_[layer % inner_.size()].data();
  }

  Index below_last(Index layer) const { return config_.num_layers - 1 - layer; }

  Frames<T> output(Index layer) {
    return below_last(layer) == 0 || sequences_.y_stride != 0 ? sequences_.output(below_last(layer))
                                                              : inner_offsets_.at(inner(layer));
  }

  Frames<const T> input(Index layer) {
    if (layer == 0) return sequences_.x_offsets.at(sequences_.x);
    const Frames<T> below =
        dropout_.active() ? inner_offsets_.at(dropped(layer - 1)) : output(layer - 1);
    return {below.base, below.step, below.row};
  }

  void run_layer(Index layer, const Team& team) {
    const LayerPlan& plan = plan_.of(layer);
    for_directions(config_.directions(), plan, team, [&](Index direction, const Team& members) {
      for_stretches(plan, schedule_, {0, schedule_.steps()}, direction == 1, members,
                    [&](const Part& part) { run_direction(layer, direction, part, team.rank()); });
    });
    team.wait();
    if (layer + 1 < config_.num_layers && dropout_.active()) {
      for_pieces(schedule_.frames(), config_.frame_size(), team,
                 [&](const Range& frames) { drop(layer, frames); });
      team.wait();
    }
  }

  // Masks stand in the order of the tape: an output that lies as the caller wants it is copied.
  void drop(Index layer, const Range& frames) {
    const Index width = config_.frame_size();
    if (sequences_.y_stride != 0) take_output(layer, frames);
    dropout_.apply(layer, sequences_.y_stride != 0 ? dropped(layer) : inner(layer), dropped(layer),
                   frames.begin * width, frames.end * width);
  }

  void take_output(Index layer, const Range& frames) {
    const Frames<T> from = output(layer);
    const Index width = config_.frame_size();
    for_frames(schedule_, frames, [&](Index frame, Index t, Index r) {
      std::copy_n(from.base + from.step[t] + from.row[r], width, dropped(layer) + frame * width);
    });
  }

  // Wave w computes chunk w - l of every layer l: what it reads was written in the wave before.
  void run_waves(const Team& team) {
    const Index steps = schedule_.steps(), L = config_.num_layers, chunk = plan_.chunk;
    const Index chunks = (steps + chunk - 1) / chunk;
    for (Index wave = 0; wave < chunks + L - 1 && !team.stopped(); ++wave) {
      for (Index l = team.rank(); l < L; l += team.size()) {
        const Index begin = (wave - l) * chunk;
        if (begin >= 0 && begin < steps)
          run_direction(
              l, 0, whole_part(begin, std::min(begin + chunk, steps), 0, schedule_.batch(), team),
              team.rank());
      }
      team.wait();
    }
  }

  void run_direction(Index layer, Index direction, const Part& part, int thread) {
    const Index H = config_.hidden_size, P = config_.output_size(), N = schedule_.batch();
    const Index state = layer * config_.directions() + direction;
    ForwardPass<T> pass{};
    pass.weights = weights_.layer(layer, direction);
    pass.reverse = direction == 1;
    pass.steps = schedule_.view(pass.reverse);
    pass.zeros = zeros_.data();
    pass.x = input(layer);
    pass.y = output(layer);
    pass.y.base += direction * P;
    pass.c_frames = sequences_.cells.at(below_last(layer));
    if (pass.c_frames.base) pass.c_frames.base += direction * H;
    pass.h = sequences_.h + state * N * P;
    pass.c = sequences_.c + state * N * H;
    if (config_.projected())
      pass.cell_output = cell_output_.data() + (plan_.chunk ? layer : direction) * N * H;
    if (tape_) {
      pass.gates = tape_->gates(layer, direction);
      pass.cells = tape_->cells(layer, direction);
      pass.kept = tape_->kept();
    }
    pass.ahead_frames =
        plan_ahead<T>(config_, layer, schedule_, part.row_end - part.row_begin, weights_.storage());
    if (pass.ahead_frames > 0) pass.ahead = ahead_.data() + thread * ahead_size_;
    if constexpr (std::is_same_v<T, float>)
      if (rounding_) {
        pass.rounded = rounded_.data() + thread * rounded_size_;
        return rounding_->forward(pass, part);
      }
    kernels<T>().forward(pass, part);
  }

  const Weights<T>& weights_;
  const Config& config_;
  const Sequences<T>& sequences_;
  const Schedule& schedule_;
  Dropout& dropout_;
  Tape<T>* tape_;
  const StackPlan plan_;
  const Offsets inner_offsets_;
  const RoundedKernels* const rounding_;  // null where rows are not rounded
  std::vector<Buffer<T>> inner_;
  Buffer<T> cell_output_, zeros_;
  Index ahead_size_;  // of one thread
  Buffer<T> ahead_;
  Index rounded_size_ = 0;  // of one thread
  Buffer<std::int32_t> rounded_;
};

}  // namespace

template <class T>
void forward(const Weights<T>& weights, const Sequences<T>& sequences, Dropout& dropout) {
  ForwardStack<T>(weights, sequences, dropout, nullptr).run();
}

// The stack refers to its neighbours here.
template <class T>
struct RepeatedForward<T>::Prepared {
  std::shared_ptr<const Weights<T>> weights;
  Sequences<T> sequences;
  Dropout none;
  ForwardStack<T> stack{*weights, sequences, none, nullptr};
};

template <class T>
RepeatedForward<T>::RepeatedForward(std::shared_ptr<const Weights<T>> weights,
                                    Sequences<T> sequences)
    : prepared_(new Prepared{std::move(weights), std::move(sequences), {}}) {}

template <class T>
RepeatedForward<T>::~RepeatedForward() = default;

template <class T>
void RepeatedForward<T>::run(const T* x, T* y) {
  prepared_->sequences.x = x;
  prepared_->sequences.y = y;
  prepared_->stack.run();
}

template <class T>
void record(Tape<T>& tape) {
  ForwardStack<T>(tape.weights(), tape.sequences(), tape.dropout(), &tape).run();
}

template void forward(const Weights<float>&, const Sequences<float>&, Dropout&);
template void forward(const Weights<double>&, const Sequences<double>&, Dropout&);
template class RepeatedForward<float>;
template class RepeatedForward<double>;
template void record(Tape<float>&);
template void record(Tape<double>&);

}  // namespace lstm_native
