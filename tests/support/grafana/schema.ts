// What a dashboard of ours may hold, by the types that Grafana publishes; a test writes dashboard.ts beside it.
import type { AnnotationQuery, Dashboard, DataQuery, FieldConfig, GraphFieldConfig, Panel, RowPanel } from '@grafana/schema';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { Options as TimeSeriesOptions } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// JSON has the values of enumerations, not their names; what is left out has its default.
type Plain<T> = unknown extends T
  ? T
  : T extends string
    ? `${T}`
    : T extends number | boolean | null | undefined
      ? T
      : T extends readonly (infer Item)[]
        ? Plain<Item>[]
        : { [Name in keyof T]: Plain<T[Name]> };
type Some<T> = T extends readonly unknown[] ? T : T extends object ? { [Name in keyof T]?: Some<T[Name]> } : T;

interface Query extends DataQuery {
  editorMode: 'code';
  expr: string;
  legendFormat: string;
  range: boolean;
}

type Of<Kind extends string, Options, Custom> = Omit<Panel, 'type' | 'options' | 'fieldConfig' | 'targets'> & {
  type: Kind;
  options: Some<Options>;
  fieldConfig: {
    defaults: Omit<FieldConfig, 'custom'> & { custom?: Some<Custom> };
    overrides: NonNullable<Panel['fieldConfig']>['overrides'];
  };
  targets: Query[];
};

interface Marks extends DataQuery {
  expr: string;
  interval: string;
}

// What Prometheus' data source reads beside the query.
type Annotation = AnnotationQuery<Marks> & { target: Marks; titleFormat: string; textFormat: string };

export type OurDashboard = Plain<
  Omit<Dashboard, 'panels' | 'annotations'> & {
    annotations: { list: Annotation[] };
    panels: (
      | Of<'stat', StatOptions, Record<string, never>>
      | Of<'timeseries', TimeSeriesOptions, GraphFieldConfig>
      | RowPanel
    )[];
  }
>;
