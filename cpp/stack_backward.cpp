// Backward through the stack, the last layer first. For each: the recurrence of its directions,
// then, chunk by chunk of frames, everything dz is good for.
#include "dispatch.hpp"
#include "stack.hpp"
#include "stack_team.hpp"

namespace lstm_native {
namespace {

// Frames whose gradients are summed in registers before the weight gradients are stored and taken
// up again: at 64 frames that traffic alone held H = 1024 at 80 GF/s of one core, at 256 it is
// gone.
constexpr Index chunk_frames = 256;

template <class T>
class BackwardStack {
 public:
  BackwardStack(Tape<T>& tape, const Gradients<T>& gradients)
      : tape_(tape),
        config_(tape.config()),
        schedule_(tape.sequences().schedule),
        gradients_(gradients),
        plan_(plan_stack<T>(config_, schedule_, Pass::backward, tape.dropout().active())),
        inner_offsets_(Offsets::packed(schedule_, config_.frame_size())),
        dh_offset_(checked_product(config_.projected() ? schedule_.frames() : schedule_.batch(),
                                   config_.output_size())) {
    const Index D = config_.directions(), H = config_.hidden_size, P = config_.output_size();
    const Kernels<T>& k = kernels<T>();
    const Index widest =
        std::max(config_.input_size, config_.num_layers > 1 ? config_.frame_size() : Index{0});
    for (Index d = 0; d < D; ++d) {
      Transposed& weights = transposed_[d];
      weights.input = Buffer<T>(k.panel_size(4 * H, widest));
      weights.recurrent = Buffer<T>(k.panel_size(4 * H, P));
      if (config_.projected()) weights.projection = Buffer<T>(k.panel_size(P, H));
    }
    dh_ = Buffer<T>(checked_product(D, dh_offset_));
    if (config_.projected())
      d_cell_output_ = Buffer<T>(checked_product(D, checked_product(schedule_.batch(), H)));
    const Index inner = checked_product(schedule_.frames(), config_.frame_size());
    for (Index l = 0; l + 1 < config_.num_layers && l < 2; ++l) inner_dx_.emplace_back(inner);

    chunk_ = std::clamp(schedule_.frames(), Index{1}, chunk_frames);
    panels_ = Buffer<T>(k.panel_size(chunk_, widest) + k.panel_size(chunk_, P) +
                        (config_.projected() ? k.panel_size(chunk_, H) : 0));
    for (int thread = 0; thread < plan_.threads; ++thread) {
      pointers_.emplace_back(chunk_);
      left_.emplace_back(chunk_ * k.left_columns);
    }
  }

  void run() {
    if (schedule_.frames() == 0) return;
    run_team(plan_.threads, [this](const Team& team) {
      for (Index l = config_.num_layers - 1; l >= 0; --l) run_layer(l, team);
    });
  }

 private:
  struct Transposed {
    Buffer<T> input, recurrent, projection;
  };
  // Frames of one chunk, as a thread sees them.
  struct Pointers {
    explicit Pointers(Index count) : x(count), h_prev(count), dx(count) {}
    std::vector<const T*> x, h_prev;
    std::vector<T*> dx;
  };

  TransposedLayer<T> transposed(Index direction) {
    Transposed& weights = transposed_[direction];
    return {weights.input.data(), weights.recurrent.data(), weights.projection.data()};
  }

  // d of a layer's input; of layer 0 the caller's memory.
  Frames<T> dx(Index layer) {
    return layer == 0 ? gradients_.dx_offsets.at(gradients_.dx)
                      : inner_offsets_.at(inner_dx_[(layer - 1) % 2].data());
  }

  Frames<const T> x(Index layer) {
    return layer == 0 ? tape_.sequences().x_offsets.at(tape_.sequences().x)
                      : inner_offsets_.at(static_cast<const T*>(tape_.dropped(layer - 1)));
  }

  bool last(Index layer) const { return layer + 1 == config_.num_layers; }

  void run_layer(Index layer, const Team& team) {
    const Index D = config_.directions();
    for (Index d = 0; d < D; ++d)
      kernels<T>().transpose(tape_.weights().layer(layer, d), transposed(d), output_part(team));
    team.wait();
    const LayerPlan& plan = plan_.of(layer);
    for_directions(D, plan, team, [&](Index direction, const Team& members) {
      for_stretches(plan, schedule_, direction == 0, members,
                    [&](const Part& part) { recur(layer, direction, part); });
    });
    team.wait();
    for (Index d = 0; d < D; ++d)
      for (Index begin = 0; begin < schedule_.frames(); begin += chunk_)
        chunk_gradients(layer, d, begin, std::min(chunk_, schedule_.frames() - begin), team);
    if (layer > 0 && tape_.dropout().active()) {
      const Range share = team_range(schedule_.frames() * config_.frame_size(), team);
      T* d_input = inner_dx_[(layer - 1) % 2].data();
      tape_.dropout().apply(layer - 1, d_input, d_input, share.begin, share.end);
      team.wait();
    }
  }

  void recur(Index layer, Index direction, const Part& part) {
    const Index H = config_.hidden_size, P = config_.output_size(), N = schedule_.batch();
    const Index state = layer * config_.directions() + direction;
    BackwardPass<T> pass{};
    pass.weights = transposed(direction);
    pass.hidden = H;
    pass.output = P;
    pass.projected = config_.projected();
    pass.steps = schedule_.view();
    pass.reverse = direction == 1;
    pass.gates = tape_.gates(layer, direction);
    pass.cells = tape_.cells(layer, direction);
    pass.c_0 = tape_.c_0(layer, direction);
    if (!last(layer))
      pass.dy = inner_offsets_.at(static_cast<const T*>(inner_dx_[layer % 2].data()));
    else if (gradients_.dy)
      pass.dy = gradients_.dy_offsets.at(gradients_.dy);
    if (pass.dy.base) pass.dy.base += direction * P;
    pass.dh = gradients_.dh + state * N * P;
    pass.dc = gradients_.dc + state * N * H;
    pass.dh_frames = dh_.data() + direction * dh_offset_;
    if (pass.projected) pass.d_cell_output = d_cell_output_.data() + direction * N * H;
    kernels<T>().backward(pass, part);
  }

  void chunk_gradients(Index layer, Index direction, Index begin, Index count, const Team& team) {
    const Index H = config_.hidden_size, P = config_.output_size();
    Pointers& pointers = pointers_[team.rank()];
    point(layer, direction, begin, count, pointers);
    const auto d = layer_parameters(config_, gradients_.d_parameters, layer, direction);
    GradientPass<T> pass{};
    pass.input_size = config_.layer_input(layer);
    pass.hidden = H;
    pass.output = P;
    pass.projected = config_.projected();
    pass.frames = count;
    pass.dz = tape_.gates(layer, direction) + begin * 4 * H;
    pass.x = pointers.x.data();
    pass.h_prev = pointers.h_prev.data();
    pass.dx = pointers.dx.data();
    pass.add_dx = direction == 1;
    if (pass.projected) {
      pass.dh = dh_.data() + direction * dh_offset_ + begin * P;
      pass.cell_output = tape_.cells(layer, direction) + begin * H;
    }
    pass.weight_ih = transposed_[direction].input.data();
    pass.panels = panels_.data();
    pass.left = left_[team.rank()].data();
    pass.d_weight_ih = d.weight_ih;
    pass.d_weight_hh = d.weight_hh;
    pass.d_bias_ih = d.bias_ih;
    pass.d_bias_hh = d.bias_hh;
    pass.d_weight_hr = d.weight_hr;
    Part part = output_part(team);
    const Range frames = team_range(count, team);
    part.row_begin = frames.begin;
    part.row_end = frames.end;
    kernels<T>().gradients(pass, part);
  }

  // Where x, h of the step before, and dx of tape frames [begin, begin + count) stand.
  void point(Index layer, Index direction, Index begin, Index count, Pointers& pointers) {
    const Steps steps = schedule_.view();
    const Frames<const T> from = x(layer);
    const Frames<T> to = dx(layer);
    Frames<const T> y =
        last(layer) ? tape_.sequences().y_offsets.at(static_cast<const T*>(tape_.sequences().y))
                    : inner_offsets_.at(static_cast<const T*>(tape_.output(layer)));
    y.base += direction * config_.output_size();
    Index t = std::upper_bound(steps.first, steps.first + steps.steps + 1, begin) - steps.first - 1;
    Index r = begin - steps.first[t];
    for (Index f = 0; f < count; ++f, ++r) {
      if (r == steps.rows[t]) {
        ++t;
        r = 0;
      }
      const Index before = direction == 1 ? t + 1 : t - 1;
      const bool begins = before < 0 || before == steps.steps || r >= steps.rows[before];
      pointers.x[f] = from.base + from.step[t] + from.row[r];
      pointers.dx[f] = to.base + to.step[t] + to.row[r];
      pointers.h_prev[f] =
          begins ? tape_.h_0(layer, direction) + steps.order[r] * config_.output_size()
                 : y.base + y.step[before] + y.row[r];
    }
  }

  Tape<T>& tape_;
  const Config& config_;
  const Schedule& schedule_;
  const Gradients<T>& gradients_;
  const StackPlan plan_;
  const Offsets inner_offsets_;
  const Index dh_offset_;  // from one direction's dh to the other's
  Transposed transposed_[2];
  Buffer<T> dh_, d_cell_output_, panels_;
  std::vector<Buffer<T>> inner_dx_, left_;
  std::vector<Pointers> pointers_;
  Index chunk_;
};

}  // namespace

template <class T>
bool backward(Tape<T>& tape, const Gradients<T>& gradients) {
  BackwardStack<T> stack(tape, gradients);  // all memory is had before anything is spent
  if (!tape.consume()) return false;
  stack.run();
  return true;
}

template bool backward(Tape<float>&, const Gradients<float>&);
template bool backward(Tape<double>&, const Gradients<double>&);

}  // namespace lstm_native
