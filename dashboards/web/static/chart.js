// The browser's side of dashboards/web/chart.py.
import { echarts } from "nicegui-echart";
import { convertDynamicProperties } from "../../static/utils/dynamic_properties.js";

export default {
  template: "<div></div>",
  props: { options: Object, about: Object, enable3d: Boolean, renderer: String, theme: String },
  mounted() {
    this.chart = echarts.init(this.$el, null, { renderer: this.renderer });
    this.resizeObserver = new ResizeObserver(() => this.chart.resize());
    this.resizeObserver.observe(this.$el);
    this.update_chart();
  },
  beforeUnmount() {
    this.resizeObserver.disconnect();
    testbed.forget(this.chart);
    this.chart.dispose();
  },
  methods: {
    update_chart() {
      convertDynamicProperties(this.options, true);
      this.chart.setOption(this.options, { notMerge: true });
      testbed.draw(this.chart, this.about);
    },
    run_chart_method(name, ...args) {
      return this.chart[name](...args);
    },
  },
};
